// SPDX-License-Identifier: Apache-2.0

// Empty: a function without a body (go:linkname) needs an assembler file beside it.
