/* SPDX-License-Identifier: MIT */
/* commands - every command of holdfast; see holdfast(8). Each returns an exit code of ctl_proto.h. */
#ifndef HF_TOOLS_COMMANDS_H
#define HF_TOOLS_COMMANDS_H

#include <jansson.h>

#include "client.h"

int cmd_volume_create(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_volume_list(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_volume_show(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_volume_set(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_volume_resize(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_volume_delete(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_host_list(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_host_show(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_status(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_why(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_promote(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_failover(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_events(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_metrics(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_dev_up(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_dev_down(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_dev_kill(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_dev_start(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_dev_status(struct context *cx, const struct command *self, int argc, char **argv);
int cmd_torture(struct context *cx, const struct command *self, int argc, char **argv);

/* What `promote` does without further words; `to` may be NULL. The answer is a certificate, also of a refusal. */
struct answer promote_volume(const struct context *cx, const struct daemons *all, const char *volume, const char *to);
/* The table of `volume list`, which `status` shows as well. */
void print_volumes(const json_t *volumes);
/* The table of `host list`. */
void print_hosts(const json_t *hosts);

#endif
