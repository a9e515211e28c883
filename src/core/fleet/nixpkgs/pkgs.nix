# Packages as texts that say what they are.
{ lib }:
let
  script = name: text: "<script ${name}>${text}</script>";
in
{
  system = "x86_64-linux";
  stdenv.hostPlatform.isAarch64 = false;
  writeText = name: text: "<text ${name}>${text}</text>";
  writeShellScript = script;
  writers.writePython3 = name: { libraries }: text:
    "<python ${name} ${toString libraries}>${text}</python>";
  python3Packages.hello = "python3-hello";
  xorg.xrandr = "xrandr";
  xorg.xset = "xset";
}
// builtins.listToAttrs (map (name: { inherit name; value = name; }) [
  "hello"
  "htop"
  "jq"
  "curl"
  "ungoogled-chromium"
  "firefox"
  "pamixer"
  "pulseaudio"
  "unclutter-xfixes"
  "libxcvt"
  "tigervnc"
  "inetutils"
  "linuxPackages_latest"
])
