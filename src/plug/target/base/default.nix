# What every device has, when no input `thymis` brings it: the same names as
# that flake has.
{ inputs }:
let
  types = {
    generic-x86_64 = {
      platform = "x86_64-linux";
    };
    generic-aarch64 = {
      platform = "aarch64-linux";
    };
    raspberry-pi-3 = {
      platform = "aarch64-linux";
      kernel = "linuxPackages_rpi3";
      pi = "bcm2711";
    };
    raspberry-pi-4 = {
      platform = "aarch64-linux";
      kernel = "linuxPackages_rpi4";
      pi = "bcm2711";
    };
    raspberry-pi-5 = {
      platform = "aarch64-linux";
      kernel = "linuxPackages_rpi5";
      pi = "bcm2712";
    };
  };
  images = [ "sd-card-image" "qcow" "usb-stick-installer" "nixos-vm" ];
  deviceModules = map
    (type: {
      name = "thymis-device-" + type;
      value = import ./device-type.nix { inherit inputs type; board = types.${type}; };
    })
    (builtins.attrNames types);
  imageModules = map
    (format: {
      name = "thymis-image-" + format;
      value = import ./image.nix { inherit inputs format; };
    })
    images;
in
{
  nixosModules = builtins.listToAttrs (deviceModules ++ imageModules) // {
    thymis-device = import ./thymis-device.nix;
  };
}
