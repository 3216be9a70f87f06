# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034,SC2154 # the caller sets work and REGISTRY, and uses REF
# Sourced: a real registry with TLS and a password. Needs $work (a folder) and $REGISTRY (test/registry/build.sh's program);
# $REGISTRY_NET, an array, is put before what talks over the network. Registries are children of the caller, who stops them.
REGISTRY_NET=() registry_pid=''
registry_make() { # registry_make ADDRESS PORT: certificate, password, configuration; sets HOST, and REF, what agents are told
	local hash
	HOST=$1:$2
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry -addext "subjectAltName=IP:$1" \
		-keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null
	hash=$($PY -W ignore -c 'import crypt; print(crypt.crypt("secret", "$2y$05$abcdefghijklmnopqrstuu"))')
	echo "fleet:$hash" >"$work/htpasswd"
	cat >"$work/config.yml" <<-END
		version: 0.1
		log: { level: error }
		storage: { filesystem: { rootdirectory: $work/storage } }
		http: { addr: "$HOST", tls: { certificate: $work/tls.crt, key: $work/tls.key } }
		auth: { htpasswd: { realm: farrier, path: $work/htpasswd } }
	END
	# For loopback TLS has to be asked for.
	REF=https://$HOST/farrier
	printf '{"auths": {"%s": {"username": "fleet", "password": "secret"}}}' "$HOST" >"$work/auth.json"
}
ask() { "${REGISTRY_NET[@]}" curl -sS --max-time 60 --cacert "$work/tls.crt" -u fleet:secret "$@"; }
registry_start() {
	OTEL_TRACES_EXPORTER=none "${REGISTRY_NET[@]}" "$REGISTRY" serve "$work/config.yml" >>"$work/registry.log" 2>&1 &
	registry_pid=$!
	wait_for 60 "the registry" ask -f -o "$work/v2" "https://$HOST/v2/"
}
registry_stop() { # registry_stop [SIGNAL]
	[ -n "$registry_pid" ] || return 0
	kill -s "${1:-TERM}" "$registry_pid" 2>/dev/null
	wait "$registry_pid" 2>/dev/null || true
	registry_pid=
}
