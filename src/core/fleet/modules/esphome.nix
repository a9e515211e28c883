# Each source sets options, setting by setting; one module behind them reads what
# wins.
{ settings, defaults, priority, ... }:
let
  implementation = { config, lib, ... }: {
    key = "marram.esphome";

    options.marram.esphome = lib.mapAttrs
      (_: default: lib.mkOption { inherit default; })
      defaults;

    config.services.esphome = {
      enable = true;
      port = config.marram.esphome.port;
      openFirewall = config.marram.esphome.exposePort;
    };
  };
in
{ lib, ... }:
{
  imports = [ implementation ];
  config.marram.esphome = lib.mapAttrs (_: lib.mkOverride priority) settings;
}
