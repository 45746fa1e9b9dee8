/* SPDX-License-Identifier: MIT */
/*
 * reach - which steps a search has taken. spin's own list of unreached statements says nothing of what is inside
 * d_step, and a step that is never possible proves nothing.
 *
 * A model defines REACHES(X), X(name) for each step, before it includes this file, says REACHED(name) in each step,
 * and REACH_BEGIN once in init. pan prints `reach NAME 0` or `1` when it ends. Names that end in _sometimes are rare
 * branches: some safe row has to reach them, not each.
 */
#define REACH_ENUM(name) REACH_##name,
#define REACH_TEXT(name) #name,
#define REACHED(name)	c_code { reach_seen[REACH_##name] = 1; }
#define REACH_BEGIN	c_code { atexit(reach_print); }

c_decl {
	enum { REACHES(REACH_ENUM) REACH_COUNT };
	static unsigned char reach_seen[REACH_COUNT];
	static const char *const reach_text[] = { REACHES(REACH_TEXT) };

	static void reach_print(void)
	{
		int i;

		for (i = 0; i < REACH_COUNT; i++)
			printf("reach %s %d\n", reach_text[i], reach_seen[i]);
	}
}
