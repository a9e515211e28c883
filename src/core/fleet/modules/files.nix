# Artifacts are copied by systemd-tmpfiles; secrets are placed by the agent.
{ settings, ... }:
{ lib, inputs, ... }:
let
  # A field of tmpfiles.d: no specifier, no second field, no second line.
  field = text:
    if builtins.match "[A-Za-z0-9/._+:=@,~-]+" text != null then
      text
    else
      "\"" + lib.replaceStrings [ "\\" "\"" "%" "\n" "\r" "\t" ] [ "\\\\" "\\\"" "%%" "\\n" "\\r" "\\t" ] text + "\"";
  or' = text: if text == "" then "-" else field text;
  rule = row: "C+ ${field row.path} ${or' (row.mode or "")} ${or' (row.owner or "")} ${or' (row.group or "")} - ${field "${inputs.self + "/artifacts/${row.artifact}"}"}";
in
{
  systemd.tmpfiles.rules = map rule (settings.artifacts or [ ]);
}
