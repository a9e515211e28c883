# The time zone that a device has when nobody says one.
{ defaults, ... }:
{ lib, ... }:
{
  time.timeZone = lib.mkDefault defaults.timezone;
}
