// SPDX-License-Identifier: MIT
/* output - tables, fields and JSON. */
#include "output.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX 16u
#define GAP 2				/* spaces between columns */

void output_json(const json_t *answer)
{
	json_dumpf(answer, stdout, JSON_INDENT(2));
	putchar('\n');
}

void format_bytes(unsigned long long bytes, char out[CELL_MAX])
{
	static const char unit[] = "\0KMGTP";
	size_t i = 0;

	while (bytes && bytes % 1024 == 0 && i + 1 < sizeof(unit) - 1) {
		bytes /= 1024;
		i++;
	}
	snprintf(out, CELL_MAX, "%llu%.1s", bytes, &unit[i]);
}

const char *field_text(const json_t *object, const char *key, char out[CELL_MAX])
{
	const char *text = json_string_value(json_object_get(object, key));

	snprintf(out, CELL_MAX, "%s", text ? text : "-");
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return out;
}

long long field_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

bool field_bool(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static void cell(const struct column *c, const json_t *row, char out[CELL_MAX])
{
	const json_t *v = json_object_get(row, c->key);

	if (c->format)
		c->format(row, out);
	else if (json_is_integer(v))
		snprintf(out, CELL_MAX, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		snprintf(out, CELL_MAX, "%s", json_is_true(v) ? "yes" : "no");
	else
		(void)field_text(row, c->key, out);
}

/* Characters on the screen: bytes that are not a continuation of UTF-8. */
static int width(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void put_cell(const char *text, int columns, bool right, bool last)
{
	int pad = columns - width(text);

	if (right)
		printf("%*s%s", pad > 0 ? pad : 0, "", text);
	else
		printf("%s%*s", text, pad > 0 && !last ? pad : 0, "");
	if (!last)
		printf("%*s", GAP, "");
}

static void put_row(const struct column *columns, size_t count, const int widths[], const json_t *row, int indent)
{
	char text[CELL_MAX];

	printf("%*s", indent, "");
	for (size_t i = 0; i < count; i++) {
		if (row)
			cell(&columns[i], row, text);
		else
			snprintf(text, sizeof(text), "%s", columns[i].title);
		put_cell(text, widths[i], columns[i].right, i + 1 == count);
	}
	putchar('\n');
}

void output_table(const struct column *columns, size_t count, const json_t *rows, int indent)
{
	int widths[COLUMNS_MAX] = { 0 };
	char text[CELL_MAX];
	size_t r;
	json_t *row;

	if (json_array_size(rows) == 0 || count > COLUMNS_MAX)
		return;
	for (size_t i = 0; i < count; i++)
		widths[i] = width(columns[i].title);
	json_array_foreach(rows, r, row) {
		for (size_t i = 0; i < count; i++) {
			cell(&columns[i], row, text);
			if (width(text) > widths[i])
				widths[i] = width(text);
		}
	}
	put_row(columns, count, widths, NULL, indent);
	json_array_foreach(rows, r, row)
		put_row(columns, count, widths, row, indent);
}

void output_fields(const struct column *columns, size_t count, const json_t *object)
{
	char text[CELL_MAX];
	int widest = 0;

	for (size_t i = 0; i < count; i++)
		if (width(columns[i].title) > widest)
			widest = width(columns[i].title);
	for (size_t i = 0; i < count; i++) {
		for (const char *p = columns[i].title; *p; p++)
			putchar(tolower((unsigned char)*p));
		cell(&columns[i], object, text);
		printf("%*s%s\n", widest - width(columns[i].title) + GAP, "", text);
	}
}
