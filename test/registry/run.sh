#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Build once for the fleet, against a real registry with TLS and a password: several agents, each a node of its own with
# a real kernel's headers and a faked kernel (test/shim), each with its faked API server, this script the controller.
# usage: run.sh      needs root; results as "ok NAME" and "not ok NAME", the last line counts them
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/lib.sh
. test/registry/lib.sh
if [ -z "${FARRIER_REGISTRY_NS:-}" ]; then
	root=$(test/node/fetch-kernels.sh)
	registry=$(test/registry/build.sh)
	[ -x build/farrier-driver-builder ] || { echo "build/farrier-driver-builder is not there, run make first" >&2; exit 3; }
	make -s -C test/shim
	FARRIER_REGISTRY_NS=$root REGISTRY=$registry exec unshare --mount --propagation private "$0" "$@"
fi
KROOT=$FARRIER_REGISTRY_NS
SHIM=$PWD/build/shim/libkernel.so BIN=$PWD/build/farrier-driver-builder
KERNEL=6.1.0-47-amd64 OTHER=6.1.0-56-amd64
export EDU=$PWD/test/drivers/edu
work=$(mktemp -d /tmp/farrier-registry.XXXXXX)
passed=0 failed=0 pids=()

cleanup() {
	local p
	for p in "${pids[@]}" $registry_pid; do
		kill "$p" 2>/dev/null || true
		wait "$p" 2>/dev/null || true
	done
	rm -rf --one-file-system "$work"
	rmdir /etc/farrier 2>/dev/null || true # when a check has made it
}
trap cleanup EXIT

# ---- the registry -----------------------------------------------------------------------------------------------
free_port() { $PY -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# push_source FILE: as `oras push` would, with one layer; prints the manifest's digest
push_source() {
	local base=https://$HOST/v2/src digest=() f to
	printf '{}' >"$work/empty"
	for f in "$work/empty" "$1"; do
		digest+=("sha256:$(sha256sum <"$f" | cut -d' ' -f1)")
		to=$(ask -D - -o /dev/null -X POST "$base/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
		ask -f -o /dev/null -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$f" "$to&digest=${digest[-1]}"
	done
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/x-source","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"%s","size":2},"layers":[{"mediaType":"application/gzip","digest":"%s","size":%d}]}' \
		"${digest[0]}" "${digest[1]}" "$(stat -c %s "$1")" >"$work/manifest"
	ask -f -o /dev/null -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary "@$work/manifest" \
		"$base/manifests/1.0"
	echo "sha256:$(sha256sum <"$work/manifest" | cut -d' ' -f1)"
}

# ---- the nodes --------------------------------------------------------------------------------------------------
node_start() { # node_start NAME BUILDER [KEY DIGEST]: its tree, its API server with what it wants, its agent
	local w=$work/$1 port
	mkdir -p "$w"/{up/lib/modules,up/boot,up/usr/src,up/etc,wk,state,run,api}
	mknod "$w/up/lib/modules/$OTHER" c 0 0 # only one kernel is installed
	mknod "$w/up/boot/vmlinuz-$OTHER" c 0 0
	mknod "$w/up/usr/src/linux-headers-$OTHER" c 0 0
	test/shim/make-tree.sh "$w/shim" new "$KERNEL"
	wants "$@"
	port=$(free_port)
	$PY test/agent/fakeapi.py "$w/api" "$port" 2>>"$w/api.log" &
	pids+=($!)
	wait_for 60 "the API of $1" curl -s -o /dev/null "http://127.0.0.1:$port/"
	cat >"$w/kubeconfig" <<-END
		apiVersion: v1
		kind: Config
		current-context: x
		contexts: [ { name: x, context: { cluster: x, user: x } } ]
		clusters: [ { name: x, cluster: { server: "http://127.0.0.1:$port" } } ]
		users: [ { name: x, user: {} } ]
	END
	# Header trees hold absolute paths: each node sees its own writable layer in the same place.
	# SIGN: what a node has of the signing key, "key" or "crt" (the certificate alone).
	unshare --mount --propagation private bash -c 'mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/up,workdir=$2/wk" "$1" &&
		{ [ -z "$4" ] || { mount -t tmpfs tmpfs /etc/farrier && mkdir -p /etc/farrier/signing/fleet &&
			cp "$2"/../sign/tls.{crt,"$4"} /etc/farrier/signing/fleet/ 2>/dev/null; [ -s /etc/farrier/signing/fleet/tls.crt ]; }; } &&
		FARRIER_SHIM_DIR=$2/shim LD_PRELOAD=$3 exec "${@:5}"' node "$KROOT" "$w" "$SHIM" "${SIGN:-}" \
		"$BIN" run --root "$KROOT" --state "$w/state" --run "$w/run" --node-name "$1" \
		--kubeconfig "$w/kubeconfig" --registry "$REF" --registry-auth "$work/auth.json" --registry-ca "$work/tls.crt" 2>>"$w/log" &
	pids+=($!)
}
wants() { $PY test/registry/node.py "$work/$1/api/node.json" "$1" "$KERNEL" "${@:2}"; } # wants NODE BUILDER [KEY DIGEST]
# said NODE EXPRESSION: over k, what the node says at the API of edu for the kernel, and d, for the running one
said() {
	$PY -c 'import json, sys
s = json.load(open(sys.argv[1]))
d = s["drivers"][0]
k = [x for x in s["kernels"] if x["release"] == sys.argv[3]][0]["drivers"][0]
print(eval(sys.argv[2]))' "$work/$1/api/status.json" "$2" "$KERNEL" 2>/dev/null
}
says() { [ "$(said "$1" "$2")" = "$3" ]; }
until_says() { WAIT_STEP=0.2 wait_for "${PATIENCE:-300}" "$1: $2 = $3, but $(said "$1" '(d, k)')" says "$@"; }
module_of() { sha256sum "$work/$1"/state/store/*/*/modules/edu.ko | cut -d' ' -f1; }
did() { grep -q "BuildSucceeded.*$2" "$work/$1/log"; } # did NODE WORDS
check() { # check NAME CMD...
	if "${@:2}"; then
		passed=$((passed + 1))
		echo "ok registry: $1"
	else
		failed=$((failed + 1))
		echo "not ok registry: $1"
		tail -n 20 "$work"/n*/log | cut -c1-300 >&2
	fi
}

# ---- what must be true ------------------------------------------------------------------------------------------
one_builds() {
	node_start n1 n1
	node_start n2 n1
	until_says n2 'd["state"], d["reason"]' "('Pending', 'BuildElsewhere')" &&
		until_says n1 'd["state"], k["state"], bool(k.get("digest"))' "('Loaded', 'Ready', True)" || return
	KEY=$(said n1 'k["artifact"]') DIGEST=$(said n1 'k["digest"]')
	says n2 'd["reason"]' BuildElsewhere && [ ! -d "$work/n2/state/store" ]
}
other_takes() {
	wants n2 n1 "$KEY" "$DIGEST"
	until_says n2 'd["state"], k["artifact"]' "('Loaded', '$KEY')" &&
		did n2 'taken from the registry' && did n1 'built in' && ! did n2 'built in'
}
same_bytes() { [ "$(module_of n1)" = "$(module_of n2)" ]; }
is_listed() {
	ask -f "https://$HOST/v2/farrier/edu/tags/list" | grep -q "\"${KEY:0:16}\"" &&
		ask -f -H 'Accept: application/vnd.oci.image.manifest.v1+json' "https://$HOST/v2/farrier/edu/manifests/${KEY:0:16}" |
		grep -q '"artifactType":"application/vnd.farrier.module.v1"'
}
builders_agree() { # two are asked, as `--quorum 2` does; they know nothing of each other
	local n
	for n in n7 n8; do ASKED=n7=1,n8=1 node_start $n $n; done
	for n in n7 n8; do until_says $n 'd["state"], len(k.get("unsignedDigest", ""))' "('Loaded', 64)" || return; done
	AGREED=$(said n7 'k["unsignedDigest"]')
	[ "$(said n8 'k["unsignedDigest"]')" = "$AGREED" ] && [ "$(said n8 'k["artifact"]')" = "$KEY" ] &&
		did n7 'built in' && did n8 'built in'
}
takes_what_was_agreed_on() { # and does not call it its own work
	ASKED=n7=1,n8=1 UNSIGNED=$AGREED node_start n9 n7 "$KEY" "$(said n7 'k["digest"]')"
	until_says n9 'd["state"], k["artifact"]' "('Loaded', '$KEY')" && did n9 'taken from the registry' &&
		[ "$(module_of n9)" = "$(module_of n8)" ] && ! grep -q '"compiled"' "$work"/n9/state/store/*/*/manifest.json
}
refuses_what_was_not() { # a manifest that is there, but is not what two others built
	ASKED=n7=1,n8=1 UNSIGNED=${AGREED//[0-7]/8} node_start n10 n7 "$KEY" "$(said n7 'k["digest"]')"
	until_says n10 'd["state"]' Loaded && did n10 'built in' && grep -q 'ArtifactRefused.*ArtifactNotAgreed' "$work/n10/log"
}
builds_when_it_is_damaged() { # a byte of the module, on the registry's disk
	local hex blob
	hex=$(module_of n1)
	blob=$work/storage/docker/registry/v2/blobs/sha256/${hex:0:2}/$hex/data
	[ -s "$blob" ] || return
	printf X | dd of="$blob" bs=1 seek=100 conv=notrunc status=none
	node_start n3 n1 "$KEY" "$DIGEST"
	until_says n3 'd["state"]' Loaded && did n3 'built in' && grep -q 'not taken from the registry' "$work/n3/log" &&
		[ "$(module_of n3)" = "$(module_of n1)" ]
}
signed_where_the_key_is() { # and taken where the certificate is
	local key digest
	mkdir -p "$work/sign" /etc/farrier
	openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=fleet -days 2 -keyout "$work/sign/tls.key" -out "$work/sign/tls.crt" 2>/dev/null
	SIGN=key node_start n11 n11
	until_says n11 'd["state"], bool(k.get("digest"))' "('Loaded', True)" || return
	key=$(said n11 'k["artifact"]') digest=$(said n11 'k["digest"]')
	SIGN=crt node_start n12 n11 "$key" "$digest"
	until_says n12 'd["state"], k["artifact"]' "('Loaded', '$key')" && did n12 'taken from the registry' && ! did n12 'built in' &&
		[ "$(module_of n12)" = "$(module_of n11)" ] && [ "$key" != "$KEY" ] &&
		[ "$(modinfo -F signer "$work"/n12/state/store/*/*/modules/edu.ko)" = fleet ]
}
not_signed_where_it_is_not() { # asked to build, it says why not, before it has compiled
	SIGN=crt node_start n13 n13
	until_says n13 'k["reason"]' KeyRejected && [ ! -d "$work/n13/state/store" ] && grep -q "signing key '[^']*/fleet/tls.key' cannot be read" "$work/n13/log"
}
source_from_there() {
	local digest
	tar -C "$EDU" -czf "$work/edu.tar.gz" Kbuild edu.c edu.h
	digest=$(push_source "$work/edu.tar.gz") || return
	IMAGE=https://$HOST/src:1.0@$digest node_start n4 n4
	until_says n4 'd["state"]' Loaded && [ -s "$work/n4/state/images/${digest#sha256:}/source" ]
}
builds_without_registry() {
	registry_stop
	node_start n5 n1 "$KEY" "$DIGEST"
	until_says n5 'd["state"]' Loaded && did n5 'built in' && [ "$(module_of n5)" = "$(module_of n1)" ]
}
publishes_later() { # it was away when n6 built
	node_start n6 n6
	until_says n6 'd["state"]' Loaded && wait_for 300 "n6 to try" grep -q 'not published' "$work/n6/log" || return
	registry_start
	until_says n6 'bool(k.get("digest"))' True
}

registry_make 127.0.0.1 "$(free_port)"
registry_start
check "one node builds and publishes, the other waits" one_builds
check "the other takes it by its digest" other_takes
check "two nodes, one build, the same bytes" same_bytes
check "tools for registries list it" is_listed
check "two builders that do not know each other say the same of what they built" builders_agree
check "what they agreed on is taken" takes_what_was_agreed_on
check "what they did not agree on is refused, and built" refuses_what_was_not
check "what was damaged there is refused, and built: the same bytes again" builds_when_it_is_damaged
check "signed by the node that has the key, taken by one that has the certificate" signed_where_the_key_is
check "asked to build, a node without the key compiles nothing and says why" not_signed_where_it_is_not
check "a source comes from there" source_from_there
check "without the registry a node builds for itself" builds_without_registry
check "what could not be published is published later" publishes_later
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
