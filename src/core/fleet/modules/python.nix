# A script as a service, by itself or by a timer.
{ settings, target, ... }:
{ lib, pkgs, ... }:
let
  name = lib.replaceStrings [ "." ] [ "-" ] "thymis-python-service-${target.kind}-${target.identifier}";
  find = set: row: lib.attrByPath (lib.splitString "." row.package)
    (throw "there is no package ${row.package}") set;
  timer = settings.timer_config or { };
  type = if (timer.timer_type or null) == null then "continuous" else timer.timer_type;
  given = key: (timer.${key} or null) != null && timer.${key} != "";
  take = key: option: lib.optionalAttrs (given key) { ${option} = timer.${key}; };
  calendar = lib.filter (entry: entry != null && entry != "") (
    let value = timer.on_calendar or null; in
    if value == null then [ ] else if lib.isList value then value else [ value ]
  );
  realtime = lib.optionalAttrs (calendar != [ ]) { OnCalendar = calendar; }
    // lib.optionalAttrs ((timer.persistent or false) == true) { Persistent = true; };
  monotonic = take "on_boot_sec" "OnBootSec" // take "on_unit_active_sec" "OnUnitActiveSec";
  own = if type == "realtime" then realtime else if type == "monotonic" then monotonic else { };
  timerConfig = lib.optionalAttrs (own != { })
    (own // take "accuracy_sec" "AccuracySec" // take "randomized_delay_sec" "RandomizedDelaySec");
  isTimed = timerConfig != { };
in
{
  systemd.services.${name} = {
    path = map (find pkgs) (settings.system_packages or [ ]);
    script = "exec ${
      pkgs.writers.writePython3 name
        { libraries = map (find pkgs.python3Packages) (settings.python_packages or [ ]); }
        (settings.script or "")
    }";
  } // (
    if isTimed then {
      serviceConfig.Type = "oneshot";
    } else {
      wantedBy = [ "multi-user.target" ];
      serviceConfig.Type = "simple";
      serviceConfig.Restart = "always";
      serviceConfig.RestartSec = "10s";
    }
  );
  systemd.timers = lib.optionalAttrs isTimed {
    ${name} = {
      wantedBy = [ "timers.target" ];
      inherit timerConfig;
    };
  };
}
