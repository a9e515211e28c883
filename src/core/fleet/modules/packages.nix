# On NixOS what is not declared is not there, so that an absent one is none.
{ settings, ... }:
{ lib, pkgs, ... }:
let
  find = row: lib.attrByPath (lib.splitString "." row.package)
    (throw "there is no package ${row.package}") pkgs;
  wanted = lib.filter (row: !(row.absent or false)) (settings.packages or [ ]);
in
{
  environment.systemPackages = map find wanted;
}
