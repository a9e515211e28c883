# Each container is one definition, so that the lightest source decides about
# the whole of it.
{ settings, priority, ... }:
{ lib, ... }:
let
  pair = row: "${toString row.host}:${toString row.container}";
  set = rows: lib.listToAttrs (map (row: { name = row.key; value = row.value or ""; }) rows);
  container = row: {
    name = row.container_name;
    value = lib.mkOverride priority {
      image = row.image;
      environment = set (row.environment or [ ]);
      volumes = map pair (row.volumes or [ ]);
      ports = map pair (row.ports or [ ]);
      labels = set (row.labels or [ ]);
      log-driver = "journald";
    };
  };
in
{
  virtualisation.podman = {
    enable = true;
    autoPrune.enable = true;
    dockerCompat = true;
    dockerSocket.enable = true;
    defaultNetwork.settings.dns_enabled = true;
  };
  virtualisation.oci-containers.backend = "podman";
  virtualisation.oci-containers.containers =
    lib.listToAttrs (map container (settings.containers or [ ]));
}
