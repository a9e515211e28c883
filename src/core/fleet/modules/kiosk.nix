# Each source sets options, setting by setting; the one module behind them, which
# all sources bring in, makes the kiosk of what wins.
{ settings, defaults, priority, ... }:
let
  implementation = { config, lib, pkgs, ... }:
    let
      cfg = config.marram.kiosk;
      arg = lib.escapeShellArg;
      volume = lib.max 0 (lib.min 100 cfg.volume);
      parts = builtins.match "([0-9]+)x([0-9]+)([@_]([0-9.]+))?" cfg.xrandr_mode;
      rate = let given = builtins.elemAt parts 3; in if given == null then "60" else given;
      # A mode that can not be read is given to xrandr as it is.
      setMode =
        if parts == null then ''
          xrandr --output "$output" --mode ${arg cfg.xrandr_mode}
        '' else ''
          line=$(cvt ${builtins.elemAt parts 0} ${builtins.elemAt parts 1} ${rate} | sed -n 's/^Modeline "\([^"]*\)"/\1/p')
          xrandr --newmode $line || true
          xrandr --addmode "$output" "''${line%% *}" || true
          xrandr --output "$output" --mode "''${line%% *}"
        '';
      screen = pkgs.writeShellScript "kiosk-screen" ''
        output=HDMI-1
        ${setMode}
        xrandr --output "$output" --rotate ${arg cfg.xrandr_rotation}
        xset s off -dpms
      '';
      sound = pkgs.writeShellScript "kiosk-sound" ''
        sink=${arg cfg.audio_sink_fuzzy}
        if [ -n "$sink" ]; then
          name=$(pactl list short sinks | grep -i -F -e "$sink" | head -n 1 | cut -f 2)
          [ -z "$name" ] || pactl set-default-sink "$name"
        fi
        pamixer --set-volume ${toString volume}
      '';
      browser = pkgs.writeShellScript "kiosk-browser" ''
        url=${arg cfg.kiosk_url}
        until curl -fsIL --max-time 10 -o /dev/null -- "$url"; do
          sleep 2
        done
        exec chromium --no-first-run --disable-features=Translate --noerrdialogs \
          ${lib.optionalString pkgs.stdenv.hostPlatform.isAarch64 "--disable-gpu"} \
          --start-fullscreen --app="$url"
      '';
      vnc = pkgs.writeShellScript "kiosk-vnc" ''
        umask 077
        printf '%s\n' ${arg cfg.vnc_password} | vncpasswd -f >"$HOME/.vncpasswd"
        exec x0vncserver -display :0 -PasswordFile "$HOME/.vncpasswd"
      '';
      hash = builtins.hashString "sha256" (builtins.toJSON (removeAttrs cfg [ "_module" ]));
    in
    {
      key = "marram.kiosk";

      options.marram.kiosk = lib.mapAttrs
        (_: default: lib.mkOption { inherit default; })
        defaults;

      config = {
        users.users.thymiskiosk = {
          isNormalUser = true;
          extraGroups = [ "audio" "video" ];
        };
        services.xserver.enable = true;
        services.xserver.windowManager.i3.enable = true;
        services.xserver.windowManager.i3.configFile = pkgs.writeText "kiosk-i3" ''
          default_border none
          exec --no-startup-id ${screen}
          exec --no-startup-id ${sound}
          exec --no-startup-id unclutter --timeout 1
          exec --no-startup-id ${browser}
          ${lib.optionalString cfg.enable_vnc "exec --no-startup-id ${vnc}"}
        '';
        services.displayManager.sddm.enable = true;
        services.displayManager.autoLogin.enable = true;
        services.displayManager.autoLogin.user = "thymiskiosk";
        services.displayManager.defaultSession = "none+i3";
        services.pipewire.enable = lib.mkForce false;
        services.pulseaudio.enable = true;
        networking.firewall.allowedTCPPorts = lib.optional cfg.enable_vnc 5900;
        environment.systemPackages = [
          pkgs.ungoogled-chromium
          pkgs.curl
          pkgs.pamixer
          pkgs.pulseaudio
          pkgs.unclutter-xfixes
          pkgs.xorg.xrandr
          pkgs.xorg.xset
          pkgs.libxcvt
        ] ++ lib.optional cfg.enable_vnc pkgs.tigervnc;
        # When a setting changes, the display starts again.
        systemd.services.display-manager.environment.MARRAM_KIOSK = hash;
      };
    };
in
{ lib, ... }:
{
  imports = [ implementation ];
  config.marram.kiosk = lib.mapAttrs (_: lib.mkOverride priority) settings;
}
