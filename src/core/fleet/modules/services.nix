{ settings, priority, ... }:
{ lib, ... }:
let
  # As systemd reads an argument: no specifiers, no variables, one line.
  quote = text: "\"" + lib.replaceStrings
    [ "\\" "\"" "%" "$" "\n" "\r" "\t" ]
    [ "\\\\" "\\\"" "%%" "$$" "\\n" "\\r" "\\t" ]
    text + "\"";
  own = row: lib.optionalAttrs ((row.command or "") != "") {
    description = row.name;
    wants = [ "network-online.target" ];
    after = [ "network-online.target" ];
    environment = lib.listToAttrs (map
      (entry: { name = entry.key; value = entry.value or ""; })
      (row.environment or [ ]));
    serviceConfig = {
      ExecStart = lib.concatStringsSep " "
        (map quote ([ row.command ] ++ map (entry: entry.argument or "") (row.arguments or [ ])));
      Restart = "always";
      RestartSec = 10;
    } // lib.optionalAttrs ((row.user or "") != "") { User = row.user; };
  };
  service = row: {
    inherit (row) name;
    value = lib.mapAttrs (_: lib.mkOverride priority) ({
      wantedBy = lib.optional (row.enabled or true) "multi-user.target";
    } // own row);
  };
in
{
  systemd.services = lib.listToAttrs (map service (settings.services or [ ]));
}
