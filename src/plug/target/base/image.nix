# Where a configuration is put so that a device can start it.
{ inputs, format }:
{ lib, ... }:
let
  nixos = inputs.nixpkgs + "/nixos/modules";
  files = {
    sd-card-image = {
      generic-extlinux = nixos + "/installer/sd-card/sd-image.nix";
    };
    usb-stick-installer = {
      iso = nixos + "/installer/cd-dvd/iso-image.nix";
    };
    nixos-vm = {
      vm = nixos + "/virtualisation/qemu-vm.nix";
    };
    qcow = {
      disk = nixos + "/virtualisation/disk-image.nix";
    };
  };
in
{
  imports = builtins.filter builtins.pathExists (builtins.attrValues files.${format});
}
