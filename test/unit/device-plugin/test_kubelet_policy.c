// SPDX-License-Identifier: Apache-2.0
/* The kubelet's policies from files, command lines and a fake /proc. */
#include "fake_sysfs.h"

#include "device-plugin/kubelet_watch.h"
#include "kubelet_policy.h"

#define HEAD "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"

static void configurations(void **state)
{
	static const struct {
		const char *name, *text;
		int r;
		const char *topology, *cpu;
	} cases[] = {
		{ "defaults", HEAD, 0, "none", "none" },
		{ "both",
			HEAD
			"topologyManagerPolicy: restricted\ncpuManagerPolicy: static\n",
			0, "restricted", "static" },
		{ "JSON",
			"{\"kind\":\"KubeletConfiguration\",\"topologyManagerPolicy\":\"best-effort\"}",
			0, "best-effort", "none" },
		{ "a wrong type", HEAD "topologyManagerPolicy: [1]\n", 0, "none",
			"none" },
		{ "longer than any",
			HEAD
			"cpuManagerPolicy: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
			0, "none", "none" },
		{ "another kind", "kind: Pod\n", -EINVAL, "none", "none" },
		{ "two of them", HEAD "---\n" HEAD, -EINVAL, "none", "none" },
		{ "empty", "", -EINVAL, "none", "none" },
		{ "a list", "- a\n", -EINVAL, "none", "none" },
		{ "no YAML", "{[", -EINVAL, "none", "none" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kubelet_policy p = { .topology = "none", .cpu = "none" };
		struct err e = { 0 };
		int r = kubelet_policy_config(
			cases[i].text, strlen(cases[i].text), &p, &e);

		if (r != cases[i].r || strcmp(p.topology, cases[i].topology) != 0 ||
			strcmp(p.cpu, cases[i].cpu) != 0)
			fail_msg("case '%s': %d %s %s: %s", cases[i].name, r, p.topology,
				p.cpu, e.text);
	}
}

/* A command line, as /proc has it; the literal's own zero ends the last string. */
#define ARGS(s) s, sizeof(s)

static void command_lines(void **state)
{
	static const struct {
		const char *name, *args;
		size_t len;
		const char *topology, *cpu, *config;
	} cases[] = {
		{ "none", ARGS("/usr/bin/kubelet"), "-", "-", "" },
		{ "joined",
			ARGS("/usr/bin/kubelet\0--topology-manager-policy=restricted\0"
			     "--config=/etc/k.yaml"),
			"restricted", "-", "/etc/k.yaml" },
		{ "apart",
			ARGS("kubelet\0--cpu-manager-policy\0static\0--config\0/a\0--v\0004"),
			"-", "static", "/a" },
		{ "one dash", ARGS("kubelet\0-topology-manager-policy=best-effort"),
			"best-effort", "-", "" },
		{ "the last wins",
			ARGS("kubelet\0--cpu-manager-policy=static\0--cpu-manager-policy=none"),
			"-", "none", "" },
		{ "k3s",
			ARGS("/usr/local/bin/k3s server\0--kubelet-arg=topology-manager-policy="
			     "restricted\0--kubelet-arg\0config=/b\0--config=/not/this"),
			"restricted", "-", "/b" },
		{ "another program",
			ARGS("/bin/sh\0--topology-manager-policy=restricted"), "-", "-",
			"" },
		{ "longer names",
			ARGS("kubelet\0--config-file=/x\0--topology-manager-policy-"
			     "options=a"),
			"-", "-", "" },
		{ "nothing behind", ARGS("kubelet\0--config"), "-", "-", "" },
		{ "empty ones", ARGS("kubelet\0\0\0--config=\0"), "-", "-", "" },
		{ "not ended", "kubelet", 7, "-", "-", "" },
		{ "empty", "", 0, "-", "-", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kubelet_policy p = { .topology = "-", .cpu = "-" };
		char config[KUBELET_PATH_MAX], dir[KUBELET_PATH_MAX];

		kubelet_policy_args(cases[i].args, cases[i].len, &p, config, dir);
		if (strcmp(p.topology, cases[i].topology) != 0 ||
			strcmp(p.cpu, cases[i].cpu) != 0 ||
			strcmp(config, cases[i].config) != 0)
			fail_msg("case '%s': %s %s '%s'", cases[i].name, p.topology,
				p.cpu, config);
	}
}

static void lines_go_and_come(void **state)
{
	static const char *const bad[] = { "", "1", "2\ta\tb\tc\td\te", "1\ta\tb\tc\td",
		"1\ta\tb\tc\td\te\tf", "x\ta\tb\tc\td\te" };
	struct kubelet_policy p = { true, "restricted", "pod", "static", "Static", "/a" },
			      q = { 0 };
	char line[1024];

	assert_true(kubelet_policy_print(&p, line, sizeof(line)) > 0);
	assert_int_equal(kubelet_policy_parse(line, &q), 0);
	assert_memory_equal(&p, &q, sizeof(p));
	assert_int_equal(kubelet_policy_print(&p, line, 10), -ENOBUFS);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (kubelet_policy_parse(bad[i], &q) != -EINVAL)
			fail_msg("case '%s' is taken", bad[i]);
}

static void warnings(void **state)
{
	struct kubelet_policy p = { true, "none", "container", "none", "None", "" };

	assert_non_null(strstr(kubelet_policy_warning(&p, 2, true), "no effect"));
	assert_null(kubelet_policy_warning(&p, 1, true)); /* one node: nothing to align */
	assert_null(kubelet_policy_warning(&p, 2, false));
	memcpy(p.topology, "restricted", sizeof("restricted"));
	assert_non_null(strstr(kubelet_policy_warning(&p, 2, true), "CPU Manager"));
	memcpy(p.cpu, "static", sizeof("static"));
	assert_null(kubelet_policy_warning(&p, 2, true));
	memcpy(p.topology, "none", sizeof("none"));
	p.is_known = false;
	assert_null(kubelet_policy_warning(&p, 2, true));
}

/* ---- the whole search ---- */
static void put_process(
	const char *pid, const char *comm, const char *cmdline, size_t len)
{
	fake_file(fake_path("proc/%s/comm", pid), comm);
	assert_int_equal(file_write_atomic(fake_path("proc/%s/cmdline", pid), cmdline,
				 len, 0644, NULL),
		0);
}

static void look(const char *config, struct kubelet_policy *p, int want)
{
	char root[256], proc[256], run[256];
	struct kubelet_where w = { config, root, proc, run };
	struct err e = { 0 };
	int r;

	(void)snprintf(root, sizeof(root), "%s", fake_path("root"));
	(void)snprintf(proc, sizeof(proc), "%s", fake_path("proc"));
	(void)snprintf(run, sizeof(run), "%s", fake_path("run"));
	r = kubelet_policy_read(&w, p, &e);
	if (r != want)
		fail_msg("%d: %s", r, e.text);
}

static void finds_the_kubelet(void **state)
{
	struct kubelet_policy p;

	fake_file(fake_path("proc/1/comm"), "init\n");
	fake_file(fake_path("proc/self-made"), "");
	look(NULL, &p, 0);
	assert_false(p.is_known);
	/* Its process cannot be seen: a usual place. */
	fake_file(fake_path("root/var/lib/kubelet/config.yaml"),
		HEAD "topologyManagerPolicy: best-effort\n");
	look(NULL, &p, 0);
	assert_true(p.is_known);
	assert_string_equal(p.topology, "best-effort");
	assert_string_equal(p.source, "/var/lib/kubelet/config.yaml");
	/* Its process: its file, then the drop-ins by name, then its flags. */
	put_process("77", "kubelet\n",
		ARGS("/usr/bin/kubelet\0--config=/etc/k.yaml\0--config-dir=/etc/k.d\0"
		     "--memory-manager-policy=Static"));
	look(NULL, &p, -ENOENT); /* not what was asked for: not known */
	fake_file(fake_path("root/etc/k.yaml"),
		HEAD "topologyManagerPolicy: restricted\nmemoryManagerPolicy: None\n");
	look(NULL, &p, 0);
	assert_string_equal(p.topology, "restricted");
	assert_string_equal(p.cpu, "none");
	assert_string_equal(p.memory, "Static");
	fake_file(fake_path("root/etc/k.d/10-a.conf"), HEAD "cpuManagerPolicy: none\n");
	fake_file(fake_path("root/etc/k.d/20-b.conf"), HEAD "cpuManagerPolicy: static\n");
	fake_file(fake_path("root/etc/k.d/30-c.txt"), "junk");
	look(NULL, &p, 0);
	assert_string_equal(p.cpu, "static");
	fake_file(fake_path("root/etc/k.d/40-d.conf"), "junk");
	look(NULL, &p, -EINVAL);
	/* One file, and nothing else. */
	look(fake_path("root/etc/k.yaml"), &p, 0);
	assert_string_equal(p.cpu, "none");
	look(fake_path("none"), &p, -ENOENT);
}

/* For a plugin in a pod, which sees neither its process nor its files. */
static void notes_go_and_come(void **state)
{
	static const struct {
		const char *name, *text;
		int want;
	} bad[] = {
		{ "of later", "{\"version\":2}", -EPROTO },
		{ "no version",
			"{\"topologyManagerPolicy\":\"none\",\"topologyManagerScope\":\"pod\","
			"\"cpuManagerPolicy\":\"none\",\"memoryManagerPolicy\":\"None\",\"source\":\"/a\"}",
			-EINVAL },
		{ "a word is missing",
			"{\"version\":1,\"topologyManagerPolicy\":\"none\"}", -EINVAL },
		{ "a number",
			"{\"version\":1,\"topologyManagerPolicy\":1,\"topologyManagerScope\":\"pod\","
			"\"cpuManagerPolicy\":\"none\",\"memoryManagerPolicy\":\"None\",\"source\":\"/a\"}",
			-EINVAL },
		{ "a word too long",
			"{\"version\":1,\"topologyManagerPolicy\":\"none\","
			"\"topologyManagerScope\":\"a-scope-that-no-kubelet-knows\","
			"\"cpuManagerPolicy\":\"none\",\"memoryManagerPolicy\":\"None\",\"source\":\"/a\"}",
			-EINVAL },
		{ "a tab",
			"{\"version\":1,\"topologyManagerPolicy\":\"no\\tne\",\"topologyManagerScope\":\"pod\","
			"\"cpuManagerPolicy\":\"none\",\"memoryManagerPolicy\":\"None\",\"source\":\"/a\"}",
			-EINVAL },
		{ "cut off", "{\"version\":1,\"topo", -EINVAL },
		{ "empty", "", -EINVAL },
		{ "a list", "[]", -EINVAL },
	};
	struct kubelet_policy p = { true, "restricted", "pod", "static", "Static",
		"/etc/k.yaml" },
			      q = { 0 };
	char run[256];

	(void)snprintf(run, sizeof(run), "%s", fake_path("run"));
	assert_int_equal(dir_make(run, 0755, NULL), 0);
	assert_int_equal(kubelet_policy_write(run, &p, NULL), 1);
	assert_int_equal(kubelet_policy_write(run, &p, NULL), 0);
	look(NULL, &q, 0);
	assert_true(q.is_known);
	assert_string_equal(q.topology, "restricted");
	assert_string_equal(q.scope, "pod");
	assert_string_equal(q.cpu, "static");
	assert_string_equal(q.memory, "Static");
	assert_string_equal(q.source, "/etc/k.yaml");
	/* Better than a usual place, and no better than the process. */
	fake_file(fake_path("root/var/lib/kubelet/config.yaml"), HEAD);
	look(NULL, &q, 0);
	assert_string_equal(q.topology, "restricted");
	put_process("77", "kubelet\n", ARGS("kubelet\0--cpu-manager-policy=none"));
	look(NULL, &q, 0);
	assert_string_equal(q.topology, "none");
	assert_int_equal(dir_remove(fake_path("proc"), NULL), 0);
	/* The agent knows no longer: nothing stays behind. */
	p.is_known = false;
	assert_int_equal(kubelet_policy_write(run, &p, NULL), 1);
	assert_int_equal(kubelet_policy_write(run, &p, NULL), 0);
	look(NULL, &q, 0);
	assert_string_equal(q.topology, "none");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char root[256];
		struct kubelet_where w = { NULL, root, root, run };
		struct err e = { 0 };
		int r;

		(void)snprintf(root, sizeof(root), "%s", fake_path("root"));
		fake_file(fake_path("run/kubelet.json"), bad[i].text);
		r = kubelet_policy_read(&w, &q, &e);
		if (r != bad[i].want || !strstr(e.text, "kubelet.json"))
			fail_msg("case '%s': %d '%s'", bad[i].name, r, e.text);
	}
}

static void on_change(void *user)
{
	(*(int *)user)++;
}

static void is_watched(void **state)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	struct kubelet_watch *w = NULL;
	char path[256];
	struct kubelet_where where = { path, "", NULL, NULL };
	int changes = 0;

	(void)snprintf(path, sizeof(path), "%s", fake_path("k.yaml"));
	fake_file(path, HEAD "cpuManagerPolicy: static\n");
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	assert_int_equal(kubelet_watch_new(l, &where, 0, on_change, &changes, &w), 0);
	while (kubelet_watch_pending(w))
		(void)loop_step(l, USEC_PER_SEC);
	assert_int_equal(changes, 1);
	assert_string_equal(kubelet_watch_policy(w)->cpu, "static");
	assert_null(kubelet_watch_error(w));
	kubelet_watch_free(w);
	fake_file(path, "junk");
	assert_int_equal(kubelet_watch_new(l, &where, 0, on_change, &changes, &w), 0);
	while (kubelet_watch_pending(w))
		(void)loop_step(l, USEC_PER_SEC);
	assert_false(kubelet_watch_policy(w)->is_known);
	assert_non_null(strstr(kubelet_watch_error(w), "no KubeletConfiguration"));
	kubelet_watch_free(w);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configurations),
		cmocka_unit_test(command_lines),
		cmocka_unit_test(lines_go_and_come),
		cmocka_unit_test(warnings),
		T(finds_the_kubelet),
		T(notes_go_and_come),
		T(is_watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
