// SPDX-License-Identifier: MIT
/* nbd_proto - names for the protocol's numbers, so that a log never shows a bare one. */
#include "front/nbd_proto.h"

#define CASE_OPTION(name, value) case NBD_OPT_##name: return #name;
#define CASE_REPLY(name, value) case NBD_REP_##name: return #name;
#define CASE_COMMAND(name, value) case NBD_CMD_##name: return #name;
#define CASE_ERROR(name, value) case NBD_##name: return #name;

const char *hf_nbd_option_name(uint32_t option)
{
	switch (option) {
	NBD_OPTIONS(CASE_OPTION)
	}
	return "unknown";
}

const char *hf_nbd_reply_name(uint32_t reply)
{
	switch (reply) {
	NBD_REPLIES(CASE_REPLY)
	}
	return "unknown";
}

const char *hf_nbd_command_name(uint16_t command)
{
	switch (command) {
	NBD_COMMANDS(CASE_COMMAND)
	}
	return "unknown";
}

const char *hf_nbd_error_name(uint32_t error)
{
	switch (error) {
	NBD_ERRORS(CASE_ERROR)
	}
	return "unknown";
}
