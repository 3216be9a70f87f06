/* SPDX-License-Identifier: Apache-2.0
 * Uses a card of QEMU's "edu" kind through its driver: computes a factorial, copies by DMA, or keeps it open.
 * usage: edutest DEVICE fact N | dma | hold SECONDS    (hold: a factorial every 200 ms, tells when its outcome changes) */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

struct edu_fact {
	uint32_t in, out;
};
struct edu_dma {
	uint64_t buf;
	uint32_t len, pad;
};
#define EDU_IOC_FACT _IOWR('e', 1, struct edu_fact)
#define EDU_IOC_DMA _IOWR('e', 2, struct edu_dma)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int fact(int fd, uint32_t n)
{
	struct edu_fact f = { .in = n };
	double t = now();

	if (ioctl(fd, EDU_IOC_FACT, &f) < 0) {
		printf("fact: %s\n", strerror(errno));
		return 1;
	}
	printf("%u! = %u (%.3f ms)\n", f.in, f.out, (now() - t) * 1e3);
	return 0;
}

static int dma(int fd)
{
	unsigned char out[2048], in[2048];
	struct edu_dma d = { .buf = (uintptr_t)in, .len = sizeof(in) };

	for (size_t i = 0; i < sizeof(in); i++)
		out[i] = in[i] = (unsigned char)(i * 7);
	if (ioctl(fd, EDU_IOC_DMA, &d) < 0) {
		printf("dma: %s\n", strerror(errno));
		return 1;
	}
	printf("dma round trip %s\n", memcmp(in, out, sizeof(in)) ? "MISMATCH" : "ok");
	return memcmp(in, out, sizeof(in)) != 0;
}

static int hold(int fd, double seconds)
{
	double end = now() + seconds;
	int last = -1;

	while (now() < end) {
		struct edu_fact f = { .in = 10 };
		int e = ioctl(fd, EDU_IOC_FACT, &f) < 0 ? errno : 0;

		if (e != last)
			printf("[%.3f] ioctl: %s\n", now(), e ? strerror(e) : "ok");
		last = e;
		(void)usleep(200000);
	}
	return last > 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
	int fd;

	if (argc < 3 || (strcmp(what, "dma") != 0 && argc < 4))
		return 2;
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		printf("open %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(what, "fact") == 0)
		return fact(fd, (uint32_t)strtoul(argv[3], NULL, 10));
	if (strcmp(what, "dma") == 0)
		return dma(fd);
	if (strcmp(what, "hold") == 0)
		return hold(fd, strtod(argv[3], NULL));
	return 2;
}
