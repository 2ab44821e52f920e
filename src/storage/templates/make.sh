#!/bin/sh
# Makes the templates that new pools begin as: freshly made file systems, of which only the 4 KiB blocks that are not
# zero are kept (the image's size, then each block's number and bytes; little endian; all of it gzipped). Run by a
# developer who has btrfs-progs and xfsprogs; users need neither.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pack() {
    python3 - "$1" "$2" <<'PY'
import gzip, struct, sys
image, packed = sys.argv[1:]
with open(image, "rb") as source, open(packed, "wb") as out:
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=9, mtime=0) as pack:
        source.seek(0, 2)
        size = source.tell()
        pack.write(struct.pack("<Q", size))
        for number in range(size // 4096):
            source.seek(number * 4096)
            block = source.read(4096)
            if block.strip(b"\0"):
                pack.write(struct.pack("<Q", number) + block)
PY
}

# The smallest that has no mixed block groups. Each new pool gets an id of its own.
truncate -s 112M "$work/btrfs"
mkfs.btrfs -q -m single -d single -U 6465766e-7600-4000-8000-627472667300 "$work/btrfs"
pack "$work/btrfs" btrfs.gz

# XFS keeps the size of its allocation groups for good, so pools of several gigabytes begin larger.
# Sectors of 4 KiB fit every disk below.
for size in 300m 4g; do
    truncate -s "$(echo $size | tr mg MG)" "$work/xfs"
    mkfs.xfs -q -f -d agcount=2 -m reflink=1,crc=1,bigtime=1,uuid=6465766e-7600-4000-8000-786673000000 \
        -s size=4096 "$work/xfs"
    pack "$work/xfs" "xfs-$size.gz"
    rm "$work/xfs"
done
ls -l ./*.gz
