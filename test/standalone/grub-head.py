#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""grub-head.py BOOT.IMG CORE.IMG OUT   the first MiB of a disk with one Linux partition behind it: GRUB's boot.img and a
partition table as sector 0, core.img from sector 1 on, which is where both expect it."""
import struct
import sys

boot, core = (open(p, 'rb').read() for p in sys.argv[1:3])
MIB, SECTOR, END = 1 << 20, 512, 6 << 30
if len(core) > MIB - SECTOR:
    sys.exit('core.img does not fit in front of the first partition')
table = struct.pack('<IH', 0x4641524c, 0)  # disk signature
table += struct.pack('<B3sB3sII', 0x80, b'\xfe\xff\xff', 0x83, b'\xfe\xff\xff', MIB // SECTOR, (END - MIB) // SECTOR)
head = boot[:440] + table + bytes(48) + b'\x55\xaa' + core
open(sys.argv[3], 'wb').write(head + bytes(MIB - len(head)))
