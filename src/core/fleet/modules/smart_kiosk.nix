# Each source sets options, setting by setting; one module behind them makes the
# kiosk of what wins.
{ settings, defaults, priority, ... }:
let
  implementation = { config, lib, pkgs, ... }:
    let
      cfg = config.marram.smart-kiosk;
      arg = lib.escapeShellArg;
      # Rows of a transformation in the plane, as X wants them.
      matrix = {
        normal = "1 0 0 0 1 0 0 0 1";
        inverted = "-1 0 1 0 -1 1 0 0 1";
        left = "0 -1 1 1 0 0 0 0 1";
        right = "0 1 0 -1 0 1 0 0 1";
      }.${cfg.touch_calibration_matrix};
      screen = pkgs.writeShellScript "smart-kiosk-screen" ''
        output=$(xrandr | sed -n 's/ connected.*//p' | head -n 1)
        xrandr --output "$output" --mode ${arg cfg.resolution} || xrandr --output "$output" --auto
        xrandr --output "$output" --rotate ${arg cfg.rotation}
        xset s off -dpms
      '';
      browser = pkgs.writeShellScript "smart-kiosk-browser" ''
        url=${arg cfg.kiosk_url}
        exec firefox --kiosk "$url"
      '';
      hash = builtins.hashString "sha256" (builtins.toJSON (removeAttrs cfg [ "_module" ]));
    in
    {
      key = "marram.smart-kiosk";

      options.marram.smart-kiosk = lib.mapAttrs
        (_: default: lib.mkOption { inherit default; })
        defaults;

      config = {
        users.users.smartkiosk = {
          isNormalUser = true;
          extraGroups = [ "audio" "video" "input" ];
        };
        services.xserver.enable = true;
        services.xserver.windowManager.i3.enable = true;
        # Where both kiosks are, the other one has the screen.
        services.xserver.windowManager.i3.configFile = lib.mkDefault (pkgs.writeText "smart-kiosk-i3" ''
          default_border none
          exec --no-startup-id ${screen}
          exec --no-startup-id unclutter --timeout 1
          exec --no-startup-id ${browser}
        '');
        services.xserver.extraConfig = ''
          Section "InputClass"
            Identifier "touch screen, turned"
            MatchIsTouchscreen "on"
            MatchDriver "libinput"
            Option "CalibrationMatrix" "${matrix}"
          EndSection
        '';
        services.displayManager.sddm.enable = true;
        services.displayManager.autoLogin.enable = true;
        services.displayManager.autoLogin.user = lib.mkDefault "smartkiosk";
        services.displayManager.defaultSession = "none+i3";
        environment.systemPackages = [
          pkgs.firefox
          pkgs.unclutter-xfixes
          pkgs.xorg.xrandr
          pkgs.xorg.xset
        ];
        # When a setting changes, the display starts again.
        systemd.services.display-manager.environment.MARRAM_SMART_KIOSK = hash;
      };
    };
in
{ lib, ... }:
{
  imports = [ implementation ];
  config.marram.smart-kiosk = lib.mapAttrs (_: lib.mkOverride priority) settings;
}
