# Each source sets options, setting by setting; one module behind them reads what
# wins.
{ settings, defaults, priority, ... }:
let
  implementation = { config, lib, ... }:
    let
      cfg = config.marram.home-assistant;
      proxied = cfg.hostname != "";
    in
    {
      key = "marram.home-assistant";

      options.marram.home-assistant = lib.mapAttrs
        (_: default: lib.mkOption { inherit default; })
        defaults;

      config = {
        services.home-assistant.enable = true;
        services.home-assistant.openFirewall = cfg.exposePort;
        services.home-assistant.config = {
          default_config = { };
          homeassistant.time_zone = cfg.timezone;
          http = { server_port = cfg.port; } // lib.optionalAttrs proxied {
            use_x_forwarded_for = true;
            trusted_proxies = [ "127.0.0.1" "::1" ];
          };
        };
        services.nginx = lib.mkIf proxied {
          enable = true;
          recommendedProxySettings = true;
          virtualHosts.${cfg.hostname}.locations."/" = {
            proxyPass = "http://127.0.0.1:${toString cfg.port}";
            proxyWebsockets = true;
          };
        };
        networking.firewall.allowedTCPPorts = lib.optional proxied 80;
      };
    };
in
{ lib, ... }:
{
  imports = [ implementation ];
  config.marram.home-assistant = lib.mapAttrs (_: lib.mkOverride priority) settings;
}
