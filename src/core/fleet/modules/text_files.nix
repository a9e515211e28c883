# Below /etc they are files of the configuration; others are copied to their
# place.
{ settings, priority, ... }:
{ lib, pkgs, ... }:
let
  files = settings.files or [ ];
  or' = default: text: if text == "" then default else text;
  isEtc = row: lib.hasPrefix "/etc/" row.path;
  field = text: "\"" + lib.replaceStrings [ "\\" "\"" "%" ] [ "\\\\" "\\\"" "%%" ] text + "\"";
  etc = row: {
    name = lib.removePrefix "/etc/" row.path;
    value = lib.mkOverride priority {
      text = row.text or "";
      mode = or' "0644" (row.mode or "");
      user = or' "root" (row.owner or "");
      group = or' "root" (row.group or "");
    };
  };
  rule = row: "C+ ${field row.path} ${or' "0644" (row.mode or "")} ${or' "root" (row.owner or "")} ${or' "root" (row.group or "")} - ${pkgs.writeText "file" (row.text or "")}";
in
{
  environment.etc = lib.listToAttrs (map etc (lib.filter isEtc files));
  systemd.tmpfiles.rules = map rule (lib.filter (row: !(isEtc row)) files);
}
