#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""guest.py STATE_DIR [-t SECONDS] COMMAND   run a command in the guest's root shell (virtio-serial port "shell")
   guest.py STATE_DIR --wait TEXT [-t S]     wait for TEXT on the console, print seconds since start
   Exit status: the command's; 124 on timeout."""
import os, re, socket, sys, time
a = sys.argv[1:]
st = a.pop(0); tmo = 60.0; wait = None
while a and a[0].startswith('-'):
    o = a.pop(0)
    if o == '-t': tmo = float(a.pop(0))
    elif o == '--wait': wait = a.pop(0)
end = time.time() + tmo
if wait:
    t0 = float(open(st + '/started').read())
    while time.time() < end:
        try: text = open(st + '/console.log', errors='replace').read()
        except OSError: text = ''
        m = re.search('.*' + wait + '.*', text)
        if m:
            print('%.1fs: %s' % (time.time() - t0, m.group(0).strip())); sys.exit(0)
        try: os.kill(int(open(st + '/loop.pid').read()), 0)
        except OSError: print('qemu ended'); sys.exit(1)
        time.sleep(0.1)
    print('timeout'); sys.exit(124)
s = socket.socket(socket.AF_UNIX); s.connect(st + '/shell.sock'); s.settimeout(0.5)
tag = 'Q%d' % os.getpid()
# begin/end markers are split so that an echoing tty cannot fake them
s.sendall(("echo %s'B'; ( %s\n) </dev/null; echo %s'E'$?\n" % (tag, ' '.join(a), tag)).encode())
buf = ''
while time.time() < end:
    try: d = s.recv(65536)
    except socket.timeout: continue
    if not d: break
    buf += d.decode(errors='replace').replace('\r', '')
    m = re.search(tag + r'B\n(.*?)' + tag + r'E(\d+)\n', buf, re.S)
    if m:
        sys.stdout.write(m.group(1)); sys.exit(int(m.group(2)))
sys.stdout.write(buf); print('timeout'); sys.exit(124)
