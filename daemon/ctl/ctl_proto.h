/* SPDX-License-Identifier: MIT */
/*
 * ctl_proto - what both ends of the control socket agree on. docs/man/holdfast-ctl.7 describes it for everyone else.
 *
 * A request is one line: {"id":1,"cmd":"volume.list","args":{...}}
 * Its answer is one line: {"id":1,"ok":true,"result":...} or
 *	{"id":1,"ok":false,"error":{"code":"EEXIST","what":...,"object":...,"why":...,"do":...}}
 */
#ifndef HF_CTL_CTL_PROTO_H
#define HF_CTL_CTL_PROTO_H

#define HF_CTL_VERSION 1		/* ping answers it; grows when an answer loses or changes a field */
#define HF_CTL_LINE_MAX 65536u		/* bytes of a request with its newline; answers are not bounded by it */
#define HF_CTL_CLIENTS_MAX 32u
#define HF_CTL_CALLS_MAX 8u		/* of one client under way; later requests wait in the socket */
#define HF_CTL_EVENTS_MAX 10000u	/* events in one answer */

/* Exit codes of holdfast. */
enum hf_exit {
	HF_EXIT_OK = 0,
	HF_EXIT_FAILED = 1,
	HF_EXIT_USAGE = 2,		/* the command line, or an argument, cannot mean anything */
	HF_EXIT_UNREACHABLE = 3,	/* no daemon answers */
	HF_EXIT_UNSAFE = 4,		/* refused, to protect data */
	HF_EXIT_NOT_FOUND = 5,
};

/* Error codes of an answer: name, exit code of holdfast, meaning. */
#define HF_CTL_CODES(X) \
	X(EINVAL, HF_EXIT_USAGE, "an argument is missing, unknown or out of range") \
	X(ENOENT, HF_EXIT_NOT_FOUND, "there is no such volume, host or command") \
	X(EEXIST, HF_EXIT_FAILED, "there is such an object already") \
	X(EBUSY, HF_EXIT_FAILED, "in use, or another change is under way") \
	X(EUNSAFE, HF_EXIT_UNSAFE, "refused because acknowledged data could be lost") \
	X(EREMOTE, HF_EXIT_FAILED, "another host's daemon has to do this") \
	X(EHOSTDOWN, HF_EXIT_FAILED, "a host that is needed does not answer") \
	X(EFENCED, HF_EXIT_FAILED, "a newer epoch has taken over meanwhile") \
	X(ENOSPC, HF_EXIT_FAILED, "no space on a host") \
	X(EACCES, HF_EXIT_FAILED, "the daemon may not do this here") \
	X(ETIMEDOUT, HF_EXIT_FAILED, "no end in time; look at the state before trying again") \
	X(EIO, HF_EXIT_FAILED, "a device or the cluster store failed") \
	X(EUCLEAN, HF_EXIT_FAILED, "damaged or foreign data was met") \
	X(EPROTO, HF_EXIT_FAILED, "the request is not of this protocol") \
	X(ENOTSUP, HF_EXIT_FAILED, "not supported here") \
	X(EINTERNAL, HF_EXIT_FAILED, "a failure that has no code of its own")

enum hf_ctl_code {
#define HF_CTL_CODE_ENUM(name, exit_code, meaning) HF_CTL_##name,
	HF_CTL_CODES(HF_CTL_CODE_ENUM)
#undef HF_CTL_CODE_ENUM
};

#endif
