// SPDX-License-Identifier: Apache-2.0
/* Nodes that were started together stay together: all are cordoned before any is drained, all have waited
 * before any pod is evicted, and all work before any is free again. */
#include "wave_inside.h"

bool wave_group_leads(const char *group, const char *name)
{
	size_t len = strlen(name);

	return strncmp(group, name, len) == 0 && group[len] == '/';
}

/* The number behind the last '/'. */
static size_t size_of(const char *group)
{
	const char *p = strrchr(group, '/');
	size_t n = 0;

	for (p = p ? p + 1 : ""; *p >= '0' && *p <= '9' && n < 1000000; p++)
		n = n * 10 + (size_t)(*p - '0');
	return n;
}

static bool is_peer(const struct wave_node *n, const struct wave_node *other)
{
	return n != other && other->node->has_node &&
	       streq(n->node->upgrade.group, other->node->upgrade.group);
}

/* Still under way, as far as is known: what may be stored counts as much as what is. */
static bool is_under_way(const struct view_node *v)
{
	int stored = v->upgrade.state, next = wave_effective(v)->state;

	return wave_is_active(stored) && stored != API_UPGRADE_UNCORDON &&
	       wave_is_active(next) && next != API_UPGRADE_UNCORDON;
}

enum wave_peers wave_peers_cordoned(const struct wave *w, const struct wave_node *n)
{
	enum wave_peers all = WAVE_PEERS_READY;
	size_t known = 1;

	if (!n->node->upgrade.group)
		return WAVE_PEERS_READY;
	for (size_t i = 0; i < w->n_grouped; i++) {
		const struct view_node *v = w->grouped[i]->node;

		if (!is_peer(n, w->grouped[i]))
			continue;
		known++;
		if (!is_under_way(v))
			return WAVE_PEERS_LOST;
		if (v->upgrade.state == API_UPGRADE_CORDON &&
			(!v->is_unschedulable || !v->is_ready))
			all = WAVE_PEERS_WAIT;
	}
	return known < size_of(n->node->upgrade.group) ? WAVE_PEERS_WAIT : all;
}

/* Whether all peers that can move have come to @state and say that they wait, or are beyond it. */
static bool have_come(const struct wave *w, const struct wave_node *n, int state)
{
	if (!n->node->upgrade.group)
		return true;
	for (size_t i = 0; i < w->n_grouped; i++) {
		const struct view_node *v = w->grouped[i]->node;
		const struct view_upgrade *up = &v->upgrade;

		if (!is_peer(n, w->grouped[i]) || !is_under_way(v) ||
			(!v->is_ready && up->state != API_UPGRADE_REBOOT))
			continue;
		if (up->state < state ||
			(up->state == state && !streq(up->reason, WAVE_GANG)))
			return false;
		/* On its way back: it failed, and is not done with the gang's nodes. */
		if (state == API_UPGRADE_VALIDATION && up->state == API_UPGRADE_ROLLBACK)
			return false;
	}
	return true;
}

bool wave_peers_waited(const struct wave *w, const struct wave_node *n)
{
	return have_come(w, n, API_UPGRADE_WAIT_FOR_JOBS);
}

bool wave_peers_validated(const struct wave *w, const struct wave_node *n)
{
	return have_come(w, n, API_UPGRADE_VALIDATION);
}
