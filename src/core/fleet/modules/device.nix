# Brings in what the kind of device and its image need.
{ settings, target, site, ... }:
{ lib, inputs, ... }:
let
  firstFormat = {
    generic-x86_64 = "nixos-vm";
    generic-aarch64 = "nixos-vm";
    raspberry-pi-3 = "sd-card-image";
    raspberry-pi-4 = "sd-card-image";
    raspberry-pi-5 = "sd-card-image";
  };
  type = settings.device_type or "";
  format =
    if (settings.image_format or "") != "" then
      settings.image_format
    else
      firstFormat.${type} or "";
  module = name: inputs.thymis.nixosModules.${name};
in
{
  imports =
    lib.optional (target.kind == "hosts" && type != "") (module "thymis-device-${type}")
    ++ lib.optional (target.kind == "hosts" && format != "") (module "thymis-image-${format}");
  config = lib.optionalAttrs
    (target.kind == "hosts" && !(settings ? agent_controller_url) && site.agentUrl != "")
    { thymis.config.agent.controller-url = site.agentUrl; };
}
