# SPDX-License-Identifier: Apache-2.0
# Sourced: which Go builds the programs of the test cluster (Farrier itself has no Go), and how to get it.
FARRIER_CACHE=${FARRIER_CACHE:-/var/cache/farrier}
GO_VERSION=1.26.8
GO_NEEDED=1.26
GO_SHA256=30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7

go_find() { # prints the first go that is new enough
	local g v
	for g in "$(command -v go || true)" /usr/local/go/bin/go "$FARRIER_CACHE/go-$GO_VERSION/bin/go"; do
		[ -x "$g" ] || continue
		v=$(GOTOOLCHAIN=local "$g" env GOVERSION 2>/dev/null) || continue
		v=${v#go}
		if printf '%s\n%s\n' "$GO_NEEDED" "${v%%[- ]*}" | sort -VC; then
			echo "$g"
			return 0
		fi
	done
	return 1
}

go_proxy() { # prints where Go modules come from: the environment says, or any Go, however old
	local g p=${GOPROXY:-}
	for g in "$(command -v go || true)" /usr/lib/go-1.19/bin/go; do
		[ -n "$p" ] || [ ! -x "$g" ] || p=$("$g" env GOPROXY)
	done
	echo "${p%%[,|]*}"
}

go_fetch() { # the pinned toolchain, from the module proxy, into the cache; prints its go
	local proxy t to=$FARRIER_CACHE/go-$GO_VERSION name=golang.org/toolchain@v0.0.1-go$GO_VERSION.linux-amd64
	proxy=$(go_proxy) && [ -n "$proxy" ] || { echo "setup: no Go module proxy known" >&2; return 1; }
	mkdir -p "$FARRIER_CACHE"
	t=$(mktemp -d "$FARRIER_CACHE/.go.XXXXXX")
	echo "setup: fetching Go $GO_VERSION (72 MB)" >&2
	curl -fsSL --retry 5 --retry-delay 2 -o "$t/go.zip" "$proxy/${name/@//@v/}.zip" &&
		echo "$GO_SHA256  $t/go.zip" | sha256sum -c --quiet - >&2 &&
		unzip -q "$t/go.zip" -d "$t" || { rm -rf "$t"; return 1; }
	chmod -R u+w "$t" && chmod +x "$t/$name"/bin/* "$t/$name"/pkg/tool/*/* 2>/dev/null || true
	[ -x "$to/bin/go" ] || { rm -rf "$to"; mv "$t/$name" "$to"; }
	rm -rf "$t"
	echo "$to/bin/go"
}
