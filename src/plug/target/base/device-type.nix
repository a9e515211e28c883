# What a kind of device needs to start.
{ inputs, type, board }:
{ lib, pkgs, ... }:
let
  fleet = inputs.raspberry-pi-nix or null;
in
{
  imports = lib.optional (board ? pi && fleet != null) fleet.nixosModules.raspberry-pi;

  config = lib.mkMerge [
    {
      nixpkgs.hostPlatform = lib.mkDefault board.platform;
    }
    (lib.optionalAttrs (board ? pi) {
      systemd.watchdog.runtimeTime = lib.mkDefault "15s";
      hardware.enableRedistributableFirmware = lib.mkDefault true;
    })
    (lib.optionalAttrs (board ? pi && fleet != null) {
      raspberry-pi-nix.board = board.pi;
    })
    (lib.optionalAttrs (board ? pi && fleet == null) {
      boot.loader.grub.enable = lib.mkDefault false;
      boot.loader.generic-extlinux-compatible.enable = lib.mkDefault true;
      boot.kernelPackages =
        lib.mkDefault (pkgs.${board.kernel} or pkgs.linuxPackages_latest);
    })
  ];
}
