#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""qmp.py STATE_DIR COMMAND [key=value ...] [--event NAME [SECONDS]]
   qmp.py S device_add driver=edu id=e2 bus=rp2
   qmp.py S device_del id=e1 --event DEVICE_DELETED 30"""
import json, socket, sys, time
a = sys.argv[1:]
st, cmd = a.pop(0), a.pop(0); args = {}; ev = None; tmo = 30.0
while a:
    x = a.pop(0)
    if x == '--event':
        ev = a.pop(0)
        if a: tmo = float(a.pop(0))
    else:
        k, v = x.split('=', 1)
        args[k] = json.loads(v) if v[:1] in '{["' or v in ('true', 'false') or v.isdigit() else v
s = socket.socket(socket.AF_UNIX); s.connect(st + '/qmp.sock'); s.settimeout(0.5)
raw = b''; events = []
def line(end):
    """next JSON message, or None at the deadline"""
    global raw
    while b'\n' not in raw:
        if time.time() > end: return None
        try: d = s.recv(4096)
        except socket.timeout: continue
        if not d: return None
        raw += d
    l, raw = raw.split(b'\n', 1)
    return json.loads(l)
def send(c, **k):
    s.sendall((json.dumps({'execute': c, 'arguments': k}) + '\n').encode())
    while True:
        r = line(time.time() + 30)
        if r is None: sys.exit('no answer from QEMU')
        if 'event' not in r: return r
        events.append(r)
line(time.time() + 10); send('qmp_capabilities')
t0 = time.time(); r = send(cmd, **args); print(json.dumps(r.get('return', r)))
if 'error' in r: sys.exit(1)
end = t0 + tmo
while ev:
    e = events.pop(0) if events else line(end)
    if e is None: print('no %s within %gs' % (ev, tmo)); sys.exit(124)
    if 'event' in e:
        print('event %s +%.3fs %s' % (e['event'], time.time() - t0, json.dumps(e.get('data', {}))))
        # DEVICE_DELETED also comes without "device" for parts of it
        if e['event'] == ev and (ev != 'DEVICE_DELETED' or 'device' in e.get('data', {})): break
