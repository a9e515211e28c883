# What our modules use of nixpkgs.lib, and its module system without types:
# the lowest priority wins; of several with it lists are joined, the last module
# first, sets member by member, and everything else must be equal.
let
  inherit (builtins) all attrNames concatLists concatMap elemAt filter foldl'
    getAttr hasAttr head isAttrs isFunction isList isPath isString length listToAttrs
    map match replaceStrings split stringLength substring tail toString;

  typed = type: value: isAttrs value && (value._type or null) == type;

  lib = rec {
    inherit (builtins) concatMap filter head isList length listToAttrs mapAttrs replaceStrings attrNames elemAt;
    min = a: b: if a < b then a else b;
    max = a: b: if a > b then a else b;
    optional = yes: value: if yes then [ value ] else [ ];
    optionals = yes: values: if yes then values else [ ];
    optionalAttrs = yes: set: if yes then set else { };
    optionalString = yes: text: if yes then text else "";
    concatStringsSep = builtins.concatStringsSep;
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    removePrefix = prefix: text:
      if hasPrefix prefix text then
        substring (stringLength prefix) (stringLength text) text
      else
        text;
    splitString = separator: text:
      filter isString (split (escape [ "." ] separator) text);
    escape = chars: replaceStrings chars (map (c: "\\" + c) chars);
    escapeShellArg = arg: "'" + replaceStrings [ "'" ] [ "'\\''" ] (toString arg) + "'";
    attrByPath = path: default: set:
      if path == [ ] then set
      else if isAttrs set && hasAttr (head path) set then
        attrByPath (tail path) default (getAttr (head path) set)
      else default;

    mkOverride = priority: content: { _type = "override"; inherit priority content; };
    mkDefault = mkOverride 1000;
    mkForce = mkOverride 50;
    mkIf = condition: content: { _type = "if"; inherit condition content; };
    mkMerge = contents: { _type = "merge"; inherit contents; };
    mkOption = option: option // { _type = "option"; };
    types = {
      str = { };
      bool = { };
      lines = { };
      package = { };
      anything = { };
      attrsOf = _: { };
      listOf = _: { };
      nullOr = _: { };
      submodule = module: { sub = module.options or { }; };
    };

    evalModules = { modules, specialArgs ? { } }:
      let
        # --- all modules, each once
        args = specialArgs // { inherit lib config; } // moduleArgs;
        load = fallback: m:
          let
            loaded = if isPath m || isString m then import m else m;
            called = if isFunction loaded then loaded args else loaded;
            key = called.key or (if isPath m || isString m then toString m else fallback);
          in
          { inherit key; module = called; };
        number = prefix: ms: builtins.genList (i: load "${prefix}/${toString i}" (elemAt ms i)) (length ms);
        # depth first, as the real one has them, each where it is first met
        order = seen: items: foldl'
          (state: item:
            if hasAttr item.key state.seen then state
            else
              let
                below = order (state.seen // { ${item.key} = true; })
                  (number item.key (item.module.imports or [ ]));
              in
              { inherit (below) seen; list = state.list ++ [ item ] ++ below.list; })
          { inherit seen; list = [ ]; }
          items;
        loadedModules = map (item: item.module) (order { } (number "" modules)).list;
        configOf = m:
          if m ? config || m ? options then m.config or { }
          else removeAttrs m [ "imports" "key" "_file" "freeformType" ];
        removeAttrs = builtins.removeAttrs;
        moduleArgs = foldl' (a: m: a // ((configOf m)._module or { }).args or { }) { }
          (filter (m: isAttrs m && !(m ? config) && !(m ? imports) && m ? _module) modules);

        # --- definitions
        discharge = value:
          if typed "merge" value then concatMap discharge value.contents
          else if typed "if" value then (if value.condition then discharge value.content else [ ])
          else [ value ];
        priority = value: if typed "override" value then value.priority else 100;
        strip = value: if typed "override" value then value.content else value;
        lightest = values: foldl' (a: v: min a (priority v)) 1000000 values;
        show = value: if isString value then value else builtins.toJSON value;
        merge = path: definitions:
          let
            values = concatMap discharge definitions;
            best = lightest values;
            won = concatMap (v: discharge (strip v)) (filter (v: priority v == best) values);
          in
          if won == [ ] then null
          else if all (v: isAttrs v && !(v ? outPath)) won then
            builtins.zipAttrsWith (name: merge (path ++ [ name ])) won
          else if all isList won then
            concatLists (foldl' (list: v: [ v ] ++ list) [ ] won)
          else if length won == 1 || all (v: v == head won) won then head won
          else throw "The option `${concatStringsSep "." path}' has conflicting definition values:${
            concatStringsSep "" (map (v: "\n- ${show v}") won)}";
        # what options say when nobody else does
        defaults = options:
          if typed "option" options then
            (if (options.type or { }) ? sub then
              mkMerge [ (defaults options.type.sub) (options.default or { }) ]
            else if options ? default then mkOverride 1500 options.default
            else mkMerge [ ])
          else builtins.mapAttrs (_: defaults) options;
        config = builtins.removeAttrs (merge [ ]
          (map configOf loadedModules ++ map (m: defaults (m.options or { })) loadedModules)) [ "_module" ];
      in
      { inherit config; };
  };
in
lib
