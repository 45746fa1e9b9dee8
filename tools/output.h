/* SPDX-License-Identifier: MIT */
/*
 * output - answers on stdout: tables for people, JSON for programs, from one description of columns.
 *
 * Text that comes from a daemon is printed with control characters replaced.
 */
#ifndef HF_TOOLS_OUTPUT_H
#define HF_TOOLS_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CELL_MAX 600u

struct column {
	const char *title;		/* as a heading; lower case in a list of fields */
	const char *key;		/* of the row's object */
	/* NULL: the value as it is; "-" for null. Else makes the cell from the whole row. */
	void (*format)(const json_t *row, char out[CELL_MAX]);
	bool right;			/* aligned to the right */
};

/* The whole answer as JSON. */
void output_json(const json_t *answer);
/* Rows of objects under a heading; `indent` spaces before each line. Nothing when there are no rows. */
void output_table(const struct column *columns, size_t count, const json_t *rows, int indent);
/* One object, a line for each column. */
void output_fields(const struct column *columns, size_t count, const json_t *object);

/* Formats of common cells. */
void format_bytes(unsigned long long bytes, char out[CELL_MAX]); /* 100G, 4K: exact, in the largest unit that divides */
/* A string field that is safe to print; "-" for null. */
const char *field_text(const json_t *object, const char *key, char out[CELL_MAX]);
long long field_number(const json_t *object, const char *key);
bool field_bool(const json_t *object, const char *key);

#endif
