# Fixed addresses. Each interface is one definition, so that the lightest source
# decides about the whole of it.
{ settings, defaults, priority, ... }:
{ lib, ... }:
let
  networks = settings.static_networks or [ ];
  given = network: name: (network.${name} or "") != "";
  length = network: name: default: network.${name} or default;
  address = network: name: prefix: default:
    lib.optional (given network name) {
      address = network.${name};
      prefixLength = length network prefix default;
    };
  defaultOf = name: lib.filter
    (network: (network.isDefaultGateway or false) && given network name)
    networks;
  gateway = option: name: lib.optionalAttrs (defaultOf name != [ ]) {
    ${option} = lib.mkOverride priority {
      address = (lib.head (defaultOf name)).${name};
      interface = (lib.head (defaultOf name)).interface;
    };
  };
in
{
  networking = lib.optionalAttrs (networks != [ ]) {
    interfaces = lib.listToAttrs (map
      (network: {
        name = network.interface;
        value = lib.mkOverride priority {
          ipv4.addresses = address network "ipv4address" "ipv4prefixLength" 24;
          ipv6.addresses = address network "ipv6address" "ipv6prefixLength" 64;
        };
      })
      networks);
  }
  // gateway "defaultGateway" "gateway"
  // gateway "defaultGateway6" "gateway6";
}
