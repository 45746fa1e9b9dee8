/* SPDX-License-Identifier: MIT */
/*
 * etcd_rig - real etcd members on loopback, with their data in memory, gone when the test ends however it ends.
 *
 * Functions assert: without etcd (tools/deps test) nothing that uses this can pass.
 */
#ifndef HF_TESTS_LIB_ETCD_RIG_H
#define HF_TESTS_LIB_ETCD_RIG_H

#include <stdbool.h>
#include <stdint.h>

#define ETCD_RIG_MEMBERS_MAX 3u

struct etcd_rig;

/* `tls`: clients need TLS and a certificate; see etcd_rig_file(). Returns when every member is healthy. */
struct etcd_rig *etcd_rig_new(unsigned members, bool tls);
void etcd_rig_free(struct etcd_rig *g);
/* "http(s)://127.0.0.1:PORT" of one member, or of all, divided by commas; static storage, for a few calls. */
const char *etcd_rig_url(const struct etcd_rig *g, unsigned member);
const char *etcd_rig_urls(const struct etcd_rig *g);
uint16_t etcd_rig_port(const struct etcd_rig *g, unsigned member);
/* DIR/NAME; with tls, made by openssl: ca.pem, client.pem, client.key; other-ca.pem and what it signed: stranger.*. */
const char *etcd_rig_file(const struct etcd_rig *g, const char *name);

/* SIGKILL; its data stay. Then, at its old address: start it, and wait until it is healthy. */
void etcd_rig_kill(struct etcd_rig *g, unsigned member);
void etcd_rig_start(struct etcd_rig *g, unsigned member);
void etcd_rig_freeze(struct etcd_rig *g, unsigned member);	/* SIGSTOP */
void etcd_rig_thaw(struct etcd_rig *g, unsigned member);
/* Copies the data of a killed member away, or puts that copy back. */
void etcd_rig_save(struct etcd_rig *g, unsigned member);
void etcd_rig_restore(struct etcd_rig *g, unsigned member);
/* Run `etcdctl WORDS` on member 0 with whatever rights it takes; it succeeds. */
void etcd_rig_ctl(const struct etcd_rig *g, const char *words);

#endif
