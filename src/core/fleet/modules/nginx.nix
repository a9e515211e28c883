# Each host is one definition, so that the lightest source decides about the whole
# of it.
{ settings, priority, ... }:
{ lib, ... }:
let
  location = row: lib.optionalAttrs (row.proxy or false) {
    locations."/" = {
      proxyPass = "http://127.0.0.1:${toString (row.port or 8080)}";
      proxyWebsockets = true;
    };
  };
  files = row: lib.optionalAttrs (row.files or false) {
    root = "/srv/www/${row.hostname}";
  };
in
{
  services.nginx = {
    enable = true;
    recommendedProxySettings = true;
    virtualHosts = lib.listToAttrs (map
      (row: {
        name = row.hostname;
        value = lib.mkOverride priority (files row // location row);
      })
      (settings.hosts or [ ]));
  };
  networking.firewall.allowedTCPPorts = [ 80 ];
}
