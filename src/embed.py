#!/usr/bin/env python3
"""Makes C text constants of files: embed.py OUT.c OUT.h FILE...

A file login.html becomes `const char embed_login_html[]`, with a NUL behind it.
"""
import os
import re
import sys

out_c, out_h, *files = sys.argv[1:]
with open(out_c, "w") as c, open(out_h, "w") as h:
    c.write('#include "%s"\n' % os.path.basename(out_h))
    for name in files:
        word = "embed_" + re.sub(r"\W", "_", os.path.basename(name))
        data = open(name, "rb").read() + b"\0"
        h.write("extern const char %s[%d];\n" % (word, len(data)))
        c.write("const char %s[%d] = {\n" % (word, len(data)))
        for i in range(0, len(data), 16):
            row = ",".join(str(b if b < 128 else b - 256)
                           for b in data[i:i + 16])
            c.write(row + ",\n")
        c.write("};\n")
