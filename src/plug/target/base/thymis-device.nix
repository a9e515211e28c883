# The base of every device: what it needs to be reached and kept up to date.
{ config, lib, pkgs, inputs, ... }:
let
  cfg = config.thymis.config;
  text = lib.types.str;
  maybe = type: lib.mkOption {
    type = lib.types.nullOr type;
    default = null;
  };
  # An input named `marram` may bring the agent.
  agents = ((inputs.marram or { }).packages or { }).${pkgs.system} or { };
in
{
  options.thymis.config = lib.mkOption {
    default = { };
    description = "What a device of the fleet is told.";
    type = lib.types.submodule {
      freeformType = lib.types.attrsOf lib.types.anything;
      options = {
        device-type = maybe text;
        image-format = maybe text;
        device-name = lib.mkOption { type = text; default = "thymis"; };
        password = maybe text;
        wifi-ssid = maybe text;
        wifi-password = maybe text;
        wifi-auth = maybe lib.types.lines;
        wifi-auth-protocols = lib.mkOption {
          type = lib.types.listOf text;
          default = [ ];
        };
        authorized-keys = lib.mkOption {
          type = lib.types.listOf text;
          default = [ ];
        };
        agent.enable = lib.mkOption { type = lib.types.bool; default = true; };
        agent.controller-url = maybe text;
        agent.package = lib.mkOption {
          type = lib.types.nullOr lib.types.package;
          default = agents.marram-edge or null;
          description = "Has bin/marram-edge; without one the device is reached by SSH alone.";
        };
      };
    };
  };

  config = {
    nix.settings.experimental-features = [ "nix-command" "flakes" ];
    nix.gc = {
      automatic = lib.mkDefault true;
      dates = lib.mkDefault "*-*-* 03:15:00";
      randomizedDelaySec = lib.mkDefault "15min";
      options = lib.mkDefault "--delete-older-than 14d";
    };

    services.openssh.enable = true;
    services.openssh.settings.PermitRootLogin = lib.mkDefault "yes";
    networking.firewall.allowedTCPPorts = [ 22 ];

    # The name of the host belongs to the device: it may have been given one.
    networking.hostName = lib.mkDefault "";
    systemd.tmpfiles.rules =
      [ "f /etc/hostname 0644 root root - ${lib.escape [ "%" "\\" ] cfg.device-name}" ];
    systemd.services.thymis-hostname = {
      description = "The host name that the device was given";
      wantedBy = [ "sysinit.target" ];
      after = [ "systemd-tmpfiles-setup.service" ];
      serviceConfig.Type = "oneshot";
      serviceConfig.ExecStart = "${pkgs.inetutils}/bin/hostname -F /etc/hostname";
    };
    systemd.paths.thymis-hostname = {
      wantedBy = [ "multi-user.target" ];
      pathConfig.PathChanged = "/etc/hostname";
    };

    networking.wireless = lib.mkIf (cfg.wifi-ssid != null && (cfg.wifi-password != null || cfg.wifi-auth != null)) {
      enable = true;
      networks.${cfg.wifi-ssid} = {
        psk = lib.mkIf (cfg.wifi-auth == null) cfg.wifi-password;
        auth = cfg.wifi-auth;
      } // lib.optionalAttrs (cfg.wifi-auth-protocols != [ ]) {
        authProtocols = cfg.wifi-auth-protocols;
      };
    };

    users.mutableUsers = false;
    users.users.root.password = lib.mkIf (cfg.password != null) (lib.mkDefault cfg.password);
    users.users.thymis = {
      isNormalUser = true;
      extraGroups = [ "wheel" ];
      openssh.authorizedKeys.keys = cfg.authorized-keys;
    };

    swapDevices = lib.mkDefault [ { device = "/swapfile"; size = 1024; } ];

    systemd.services.thymis-agent = lib.mkIf (cfg.agent.enable && cfg.agent.package != null && cfg.agent.controller-url != null) {
      description = "The agent of the fleet";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      restartIfChanged = false;
      environment.CONTROLLER_HOST = cfg.agent.controller-url;
      serviceConfig = {
        ExecStart = "${cfg.agent.package}/bin/marram-edge run fleet";
        Restart = "always";
        RestartSec = 10;
      };
    };

    documentation.enable = lib.mkDefault false;
    services.udisks2.enable = lib.mkDefault false;
  };
}
