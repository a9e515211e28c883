# Each source sets options, setting by setting; one module behind them reads what
# wins.
{ settings, defaults, priority, ... }:
let
  implementation = { config, lib, ... }: {
    key = "marram.node-red";

    options.marram.node-red = lib.mapAttrs
      (_: default: lib.mkOption { inherit default; })
      defaults;

    config.services.node-red = {
      enable = true;
      port = config.marram.node-red.port;
      openFirewall = config.marram.node-red.exposePort;
    };
  };
in
{ lib, ... }:
{
  imports = [ implementation ];
  config.marram.node-red = lib.mapAttrs (_: lib.mkOverride priority) settings;
}
