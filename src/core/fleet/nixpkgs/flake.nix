# A stand-in for nixpkgs in tests: a module system that merges as the real one
# does, and packages that are only names. Where lib/ lies beside it (that of the
# real nixpkgs), the real module system is used.
{
  outputs = { self }:
    let
      isReal = builtins.pathExists ./lib/default.nix;
      lib = if isReal then import ./lib else import ./lib.nix;
      pkgs = import ./pkgs.nix { inherit lib; };
      # Options that are lists in NixOS, for the real one to know.
      lists = { lib, ... }:
        let
          list = lib.mkOption { type = lib.types.listOf lib.types.unspecified; default = [ ]; };
        in
        {
          freeformType = lib.types.lazyAttrsOf lib.types.anything;
          options = {
            networking.timeServers = list;
            networking.nameservers = list;
            networking.firewall.allowedTCPPorts = list;
            security.pki.certificates = list;
            systemd.tmpfiles.rules = list;
            environment.systemPackages = list;
            users.users.root.openssh.authorizedKeys.keys = list;
          };
        };
    in
    {
      inherit isReal;
      lib.nixosSystem = { modules, specialArgs }: lib.evalModules {
        inherit specialArgs;
        modules = modules ++ [{ _module.args.pkgs = pkgs; }] ++ (if isReal then [ lists ] else [ ])
          ++ (if builtins.pathExists ./more.nix then [ ./more.nix ] else [ ]);
      };
      legacyPackages.x86_64-linux.writeText = name: text: { inherit name text; };
    };
}
