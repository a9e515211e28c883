#!/usr/bin/env python3
"""Makes C tables of the built web application: embed_web.py C H DEPFILE WEB.

Every file of WEB/dist becomes a row of web_files[], as it is and, where that
is smaller, packed by gzip. Without WEB/dist the table is empty.
"""
import gzip
import hashlib
import os
import sys

TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript",
    ".css": "text/css", ".json": "application/json",
    ".svg": "image/svg+xml", ".png": "image/png",
    ".webmanifest": "application/manifest+json", ".woff2": "font/woff2",
}
HEADER = """#ifndef WEB_FILES_H
#define WEB_FILES_H

#include <stddef.h>

/* A file of the web application; the last row has no path. */
struct web_file {
	const char *path; /* "assets/index-1a2b.js" */
	const char *type, *etag;
	const char *data, *packed; /* packed_len 0: it does not shrink */
	size_t data_len, packed_len;
};

extern const struct web_file web_files[];

#endif
"""


def array(out, name, data):
    out.write("static const char %s[%d] = {\n" % (name, len(data) + 1))
    for i in range(0, len(data), 24):
        out.write(",".join(str(b if b < 128 else b - 256)
                           for b in data[i:i + 24]) + ",\n")
    out.write("0 };\n")


out_c, out_h, depfile, web = sys.argv[1:]
dist = os.path.join(web, "dist")
paths = sorted(os.path.join(folder, name)
               for folder, _, names in os.walk(dist) for name in names)
rows = []
with open(out_c, "w") as c:
    c.write('#include "%s"\n' % os.path.basename(out_h))
    for i, path in enumerate(paths):
        data = open(path, "rb").read()
        packed = gzip.compress(data, 9, mtime=0)
        if len(packed) >= len(data):
            packed = b""
        array(c, "data_%d" % i, data)
        array(c, "packed_%d" % i, packed)
        rows.append('{ "%s", "%s", "\\"%s\\"", data_%d, packed_%d, %d, %d },' % (
            os.path.relpath(path, dist),
            TYPES.get(os.path.splitext(path)[1], "application/octet-stream"),
            hashlib.sha256(data).hexdigest()[:24], i, i, len(data),
            len(packed)))
    c.write("const struct web_file web_files[] = {\n%s\n{ 0 } };\n" %
            "\n".join(rows))
with open(out_h, "w") as h:
    h.write(HEADER)
# The folder changes when dist comes or goes.
with open(depfile, "w") as d:
    d.write("%s: %s\n" % (out_c, " ".join(
        p.replace(" ", "\\ ") for p in [web, *paths])))
