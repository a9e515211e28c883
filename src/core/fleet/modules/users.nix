{ settings, priority, ... }:
{ lib, ... }:
let
  given = row: name: (row.${name} or null) != null && row.${name} != "";
  take = row: name: option: lib.optionalAttrs (given row name) { ${option} = row.${name}; };
  named = value: row: { inherit (row) name; value = lib.mkOverride priority (value row); };
  group = row: take row "gid" "gid";
  user = row: {
    extraGroups = map (entry: entry.group) (row.groups or [ ]);
    openssh.authorizedKeys.keys = map (entry: entry.key) (row.keys or [ ]);
  }
  // lib.optionalAttrs (row.name != "root") { isNormalUser = true; }
  // take row "uid" "uid"
  // take row "comment" "description"
  // take row "shell" "shell"
  // take row "home" "home"
  // lib.optionalAttrs (given row "password_secret") {
    hashedPasswordFile = "/run/thymis/secrets/password-${row.name}";
  };
  present = lib.filter (row: !(row.absent or false));
in
{
  users.groups = lib.listToAttrs (map (named group) (settings.groups or [ ]));
  users.users = lib.listToAttrs (map (named user) (present (settings.users or [ ])));
}
