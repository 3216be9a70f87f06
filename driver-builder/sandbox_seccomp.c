// SPDX-License-Identifier: Apache-2.0
/*
 * What a build may not ask of the kernel: things that no compiler needs and that have opened doors
 * before. A list of what is denied, not of what is allowed: a build runs any program there is. Denied
 * calls fail with EPERM, so that a Makefile that tries one goes on and is not killed.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sandbox_plan.h"

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define OUR_ARCH AUDIT_ARCH_RISCV64
#endif /* any other machine: this does not compile, and must not */

#define X32_BIT 0x40000000U
#define NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
		CLONE_NEWNET | CLONE_NEWCGROUP)
enum { FILTER_MAX = 160 };

static const unsigned denied[] = {
	/* mounts and namespaces: a user namespace would give capabilities inside it */
	SYS_mount, SYS_umount2, SYS_pivot_root, SYS_unshare, SYS_setns, SYS_open_tree,
	SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick,
	SYS_mount_setattr,
	/* parts of the kernel that are large, young or shared by everybody */
	SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup,
	SYS_io_uring_enter, SYS_io_uring_register, SYS_keyctl, SYS_add_key,
	SYS_request_key,
	/* other processes */
	SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
	/* the machine itself */
	SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load,
	SYS_kexec_file_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_syslog, SYS_acct,
	SYS_quotactl, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex,
	SYS_clock_adjtime, SYS_open_by_handle_at, SYS_name_to_handle_at
};

/* Sockets of these families are of the empty network namespace; others (vsock) reach further. */
static const unsigned families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

struct filter {
	struct sock_filter f[FILTER_MAX];
	unsigned short n;
};

static void emit(
	struct filter *x, unsigned short code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (x->n < FILTER_MAX)
		x->f[x->n++] = (struct sock_filter){ code, jt, jf, k };
}

static void load(struct filter *x, size_t offset)
{
	emit(x, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct filter *x, uint32_t what)
{
	emit(x, BPF_RET | BPF_K, what, 0, 0);
}

#define DENY(error) (SECCOMP_RET_ERRNO | (uint32_t)(error))

/* The low half of the first argument: both machines we know are little-endian. */
#define ARG0 offsetof(struct seccomp_data, args[0])

static void build_filter(struct filter *x)
{
	size_t i;

	load(x, offsetof(struct seccomp_data, arch));
	emit(x, BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
	answer(x, DENY(EPERM));
	load(x, offsetof(struct seccomp_data, nr));
	emit(x, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	answer(x, DENY(EPERM));
	for (i = 0; i < ARRAY_SIZE(denied); i++) {
		emit(x, BPF_JMP | BPF_JEQ | BPF_K, denied[i], 0, 1);
		answer(x, DENY(EPERM));
	}
	/* Its flags lie in memory where no filter can look; libraries fall back to clone. */
	emit(x, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
	answer(x, DENY(ENOSYS));
	emit(x, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
	load(x, ARG0);
	emit(x, BPF_JMP | BPF_JSET | BPF_K, (uint32_t)NAMESPACES, 0, 1);
	answer(x, DENY(EPERM));
	answer(x, SECCOMP_RET_ALLOW);
	emit(x, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0);
	answer(x, SECCOMP_RET_ALLOW);
	load(x, ARG0);
	for (i = 0; i < ARRAY_SIZE(families); i++) {
		emit(x, BPF_JMP | BPF_JEQ | BPF_K, families[i], 0, 1);
		answer(x, SECCOMP_RET_ALLOW);
	}
	answer(x, DENY(EAFNOSUPPORT));
}

int sandbox_seccomp(void)
{
	struct filter x = { .n = 0 };
	struct sock_fprog prog = { .filter = x.f };

	build_filter(&x);
	if (x.n >= FILTER_MAX)
		return -E2BIG;
	prog.len = x.n;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0 ? -errno : 0;
}
