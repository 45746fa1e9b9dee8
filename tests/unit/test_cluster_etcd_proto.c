// SPDX-License-Identifier: MIT
/* etcd_proto: requests say what etcd documents; an answer is believed only when all of it is right. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "cluster/etcd_proto.h"

/* In this file JSON has single quotes. */
#define HEADER "'header':{'cluster_id':'14841639068965178418','member_id':'1','revision':'9','raft_term':'2'}"

static void turn_quotes(char *text, char from, char to)
{
	while ((text = strchr(text, from)))
		*text++ = to;
}

/* The JSON text of one in single quotes; good until the next call. */
static const char *json(const char *quoted)
{
	static char text[4096];

	snprintf(text, sizeof(text), "%s", quoted);
	turn_quotes(text, '\'', '"');
	return text;
}

static void expect_text(char *text, const char *want)
{
	turn_quotes(text, '"', '\'');
	assert_string_equal(text, want);
	free(text);
}

static void test_requests_are_as_documented(void **state)
{
	(void)state;
	/* "/h/" + "a": L2gvYQ==; its end "/h/b": L2gvYg== */
	expect_text(hf_etcd_get_text("/h/", "a", false), "{'key':'L2gvYQ==','keys_only':false}");
	expect_text(hf_etcd_list_text("/h/", "a", NULL, 0, true),
		    "{'key':'L2gvYQ==','range_end':'L2gvYg==','limit':'256','revision':'0','keys_only':true}");
	expect_text(hf_etcd_list_text("/h/", "a", "ab", 7, false),
		    "{'key':'L2gvYWIA','range_end':'L2gvYg==','limit':'256','revision':'7','keys_only':false}");
	expect_text(hf_etcd_cas_text("/h/", "a", 3, NULL, "v", 0),
		    "{'compare':[{'key':'L2gvYQ==','target':'MOD','result':'EQUAL','mod_revision':'3'}],"
		    "'success':[{'request_put':{'key':'L2gvYQ==','value':'dg==','lease':'0'}}],"
		    "'failure':[{'request_range':{'key':'L2gvYQ==','keys_only':true}}]}");
	expect_text(hf_etcd_cas_text("/h/", "a", 3, NULL, NULL, 0),
		    "{'compare':[{'key':'L2gvYQ==','target':'MOD','result':'EQUAL','mod_revision':'3'}],"
		    "'success':[{'request_delete_range':{'key':'L2gvYQ=='}}],"
		    "'failure':[{'request_range':{'key':'L2gvYQ==','keys_only':true}}]}");
	expect_text(hf_etcd_cas_text("/h/", "a", 3, "v", NULL, 0),
		    "{'compare':[{'key':'L2gvYQ==','target':'MOD','result':'EQUAL','mod_revision':'3'},"
		    "{'key':'L2gvYQ==','target':'VALUE','result':'EQUAL','value':'dg=='}],"
		    "'success':[{'request_delete_range':{'key':'L2gvYQ=='}}],"
		    "'failure':[{'request_range':{'key':'L2gvYQ==','keys_only':true}}]}");
	expect_text(hf_etcd_watch_text("/h/", 12),
		    "{'create_request':{'key':'L2gv','range_end':'L2gw','start_revision':'12'}}");
	expect_text(hf_etcd_grant_text(5), "{'TTL':'5'}");
	expect_text(hf_etcd_lease_text(INT64_MAX), "{'ID':'9223372036854775807'}");
	expect_text(hf_etcd_login_text("u\"", "p\\"), "{'name':'u\\'','password':'p\\\\'}");
}

/* RFC 4648 section 10, by way of a value that is written and one that is read. */
static void test_base64_both_ways(void **state)
{
		static const char *const vector[][2] = {{"", ""},
							{"f", "Zg=="},
							{"fo", "Zm8="},
							{"foo", "Zm9v"},
							{"foob", "Zm9vYg=="},
							{"fooba", "Zm9vYmE="},
							{"foobar", "Zm9vYmFy"},
							{"\xc3\xbf\xef\xbf\xbd", "w7/vv70="}};

		(void)state;
		for (size_t i = 0; i < sizeof(vector) / sizeof(vector[0]); i++) {
			char *text = hf_etcd_cas_text("/h/", "a", 0, NULL, vector[i][0], 0), want[64], answer[512];
			struct hf_cluster_rows rows = {0};
			struct hf_etcd_range r;
			struct hf_errmsg err;

			snprintf(want, sizeof(want), "'value':'%s'", vector[i][1]);
			turn_quotes(text, '"', '\'');
			assert_non_null(strstr(text, want));
			free(text);
			snprintf(answer, sizeof(answer),
				 "{" HEADER ",'kvs':[{'key':'L2gvYQ==','mod_revision':'4','value':'%s'}],'count':'1'}",
				 vector[i][1]);
			assert_int_equal(
				hf_etcd_range_parse(json(answer), strlen(answer), "/h/", "a", NULL, &rows, &r, &err),
				0);
			assert_string_equal(rows.item[0].key, "a");
			assert_string_equal(rows.item[0].value, vector[i][0]);
			assert_int_equal(rows.item[0].value_len, strlen(vector[i][0]));
			assert_int_equal(rows.item[0].ver, 4);
			hf_cluster_rows_fini(&rows);
		}
}

#define ROW(key, rev, value) "{'key':'" key "','mod_revision':" rev ",'value':'" value "'}"
#define GOOD_ROW ROW("L2gvYQ==", "'4'", "dg==")

static int range(const char *text, struct hf_cluster_rows *rows, struct hf_etcd_range *out)
{
		struct hf_errmsg err = {""};
		int rc = hf_etcd_range_parse(json(text), strlen(text), "/h/", "", NULL, rows, out, &err);

		assert_true(rc == 0 || err.text[0]);
		return rc;
}

static void test_a_range_is_read(void **state)
{
		struct hf_cluster_rows rows = {0};
		struct hf_etcd_range r;

		(void)state;
		assert_int_equal(range("{" HEADER "}", &rows, &r), 0);
		assert_int_equal(rows.count, 0);
		assert_int_equal(r.header.revision, 9);
		assert_true(r.header.cluster == 14841639068965178418ull);
		assert_false(r.more);
		assert_int_equal(range("{" HEADER ",'kvs':[" GOOD_ROW "," ROW("L2gvYg==", "'5'", "") "],'more':true}",
				       &rows, &r),
				 0);
		assert_int_equal(rows.count, 2);
		assert_string_equal(rows.item[1].key, "b");
		assert_string_equal(rows.item[1].value, "");
		assert_true(r.more);
		hf_cluster_rows_fini(&rows);
}

static void test_a_range_with_anything_wrong_is_refused_whole(void **state)
{
		static const char *const bad[] = {
			"",
			"{",
			"[]",
			"null",
			"'x'",
			"{}",
			"<html>",
			"{" HEADER ",'kvs':{}}",
			"{" HEADER "}x",
			"{" HEADER "," HEADER "}",
			"{'header':{}}",
			"{'header':[]}",
			"{'header':{'cluster_id':'1'}}",
			"{'header':{'revision':'1'}}",
			"{'header':{'cluster_id':'0','revision':'1'}}",
			"{'header':{'cluster_id':'1','revision':1}}",
			"{'header':{'cluster_id':'18446744073709551616','revision':'1'}}",
			"{'header':{'cluster_id':'-1','revision':'1'}}",
			"{'header':{'cluster_id':'1','revision':'-1'}}",
			"{'header':{'cluster_id':'1','revision':'0'}}",
			"{'header':{'cluster_id':'1','revision':'9223372036854775808'}}",
			"{'header':{'cluster_id':'1','revision':'99999999999999999999'}}",
			"{'header':{'cluster_id':'1','revision':'1\\u0000'}}",
			"{" HEADER ",'more':1}",
			"{" HEADER ",'more':true}",
			"{" HEADER ",'kvs':[" GOOD_ROW ",1]}",
			"{" HEADER ",'kvs':[" GOOD_ROW "," GOOD_ROW "]}",
			"{" HEADER ",'kvs':[" ROW("L2gvYg==", "'5'", "") "," GOOD_ROW "]}",
			"{" HEADER ",'kvs':[" GOOD_ROW "," ROW("L2kvYg==", "'5'", "") "]}", /* /i/b */
			"{" HEADER ",'kvs':[" GOOD_ROW "," ROW("L2g=", "'5'", "") "]}",
			"{" HEADER ",'kvs':[" ROW("L2gvYQ==", "'0'", "dg==") "]}",
			"{" HEADER ",'kvs':[" ROW("L2gvYQ==", "4", "dg==") "]}",
			"{" HEADER ",'kvs':[" ROW("L2gvYQ==", "'4'", "dh==") "]}", /* bits left over */
			"{" HEADER ",'kvs':[" ROW("L2gvYQ==", "'4'", "dg=") "]}",
			"{" HEADER ",'kvs':[" ROW("L2gvYQ==", "'4'", "====") "]}",
			"{" HEADER ",'kvs':[" ROW("L2gvYQ==", "'4'", "d=g=") "]}",
			"{" HEADER ",'kvs':[" ROW("L2gvYQ==", "'4'", "d_g=") "]}",
			"{" HEADER ",'kvs':[" ROW("L2gvYQ==", "'4'", "dg=\\u0000") "]}",
			"{" HEADER ",'kvs':[" ROW("L2gvYQ==", "'4'", "AAAA") "]}", /* zero bytes */
			"{" HEADER ",'kvs':[" ROW("L2gvAGE=", "'4'", "dg==") "]}",
		};

		(void)state;
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			struct hf_cluster_rows rows = {0};
			struct hf_etcd_range r = {.more = true, .header = {77, 78}};
			int rc;

			assert_int_equal(hf_cluster_rows_add(&rows, "0", 1, "before", 6, 1), 0);
			rc = range(bad[i], &rows, &r);
			if (rc != -EPROTO && rc != -EUCLEAN)
				fail_msg("%s: %d", bad[i], rc);
			assert_int_equal(rows.count, 1);
			assert_int_equal(rows.bytes, 7);
			assert_string_equal(rows.item[0].value, "before");
			assert_true(r.more && r.header.cluster == 77 && r.header.revision == 78);
			hf_cluster_rows_fini(&rows);
		}
}

static void test_a_page_holds_no_more_than_was_asked_for(void **state)
{
		struct hf_cluster_rows rows = {0};
		char *text = malloc(1 << 20), *end;
		struct hf_etcd_range r;
		struct hf_errmsg err;

		(void)state;
		end = text + sprintf(text, "{" HEADER ",'kvs':[");
		for (unsigned i = 0; i <= HF_ETCD_PAGE; i++)
			end += sprintf(end, "%s" GOOD_ROW, i ? "," : "");
		strcpy(end, "]}");
		turn_quotes(text, '\'', '"');
		assert_int_equal(hf_etcd_range_parse(text, strlen(text), "/h/", "", NULL, &rows, &r, &err), -EPROTO);
		assert_non_null(strstr(err.text, "more rows"));
		free(text);
}

/* Small text that would be large in memory. */
static void test_an_answer_of_too_many_values_is_refused(void **state)
{
	char *text = malloc(1 << 17), *end;
	struct hf_cluster_rows rows = {0};
	struct hf_etcd_range r;
	struct hf_errmsg err;

	(void)state;
	for (unsigned more = 0; more < 2; more++) {
		/* The object, its header, the three commas of both, the array and its commas. */
		unsigned zeros = HF_ETCD_VALUES_MAX - 6 + more;

		end = text + sprintf(text, "{" HEADER ",'x':[0");
		for (unsigned i = 1; i < zeros; i++)
			end += sprintf(end, ",0");
		strcpy(end, "]}");
		turn_quotes(text, '\'', '"');
		assert_int_equal(hf_etcd_range_parse(text, strlen(text), "/h/", "", NULL, &rows, &r, &err),
				 more ? -EPROTO : 0);
	}
	assert_non_null(strstr(err.text, "more values"));
	free(text);
}

static int cas(const char *text, struct hf_etcd_cas *out)
{
		struct hf_errmsg err = {""};
		int rc = hf_etcd_cas_parse(json(text), strlen(text), 5, false, out, &err);

		assert_true(rc == 0 || err.text[0]);
		return rc;
}

#define FOUND(rows) "'responses':[{'response_range':{" rows "}}]"

static void test_a_cas_succeeds_or_fails_with_proof(void **state)
{
		struct hf_etcd_cas c;

		(void)state;
		assert_int_equal(cas("{" HEADER ",'succeeded':true,'responses':[{'response_put':{}}]}", &c), 0);
		assert_true(c.succeeded && c.header.revision == 9);
		assert_int_equal(cas("{" HEADER "," FOUND("'kvs':[" ROW("L2gvYQ==", "'4'", "") "]") "}", &c), 0);
		assert_false(c.succeeded);
		assert_int_equal(c.found_ver, 4);
		assert_int_equal(cas("{" HEADER "," FOUND("") "}", &c), 0);
		assert_true(!c.succeeded && c.found_ver == 0);
}

/* "It had no effect and never will" is never concluded from what is missing. */
static void test_a_cas_answer_without_proof_is_refused(void **state)
{
		static const char *const bad[] = {
			"{}",
			"{" HEADER "}",
			"{" HEADER ",'succeeded':false}",
			"{" HEADER ",'responses':[]}",
			"{" HEADER ",'responses':[{}]}",
			"{" HEADER ",'responses':[1]}",
			"{" HEADER ",'responses':[{},{}]}",
			"{" HEADER ",'succeeded':'true','responses':[{}]}",
			"{" HEADER ",'succeeded':true}",
			"{" HEADER "," FOUND("'kvs':[" ROW("L2gvYQ==", "'5'", "") "]") "}", /* the version compared */
			"{" HEADER "," FOUND("'kvs':[{}]") "}",
			"{" HEADER "," FOUND("'kvs':[" GOOD_ROW "," GOOD_ROW "]") "}",
			"{'header':{'cluster_id':'1','revision':'5'},'succeeded':true,'responses':[{}]}", /* did not
													     grow */
		};

		(void)state;
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			struct hf_etcd_cas c = {.found_ver = 77};

			if (cas(bad[i], &c) != -EPROTO)
				fail_msg("%s", bad[i]);
			assert_int_equal(c.found_ver, 77);
		}
}

static void test_leases(void **state)
{
		static const char *const bad[] = {"{}",
						  "{" HEADER "}",
						  "{" HEADER ",'ID':'0','TTL':'5'}",
						  "{" HEADER ",'ID':'7'}",
						  "{" HEADER ",'ID':7,'TTL':'5'}",
						  "{" HEADER ",'ID':'7','TTL':'4294967296'}"};
		const char *grant = "{" HEADER ",'ID':'7587863094690','TTL':'5'}";
		const char *kept = "{'result':{" HEADER ",'ID':'7','TTL':'5'}}",
			   *gone = "{'result':{" HEADER ",'ID':'7'}}";
		struct hf_etcd_lease l;
		struct hf_errmsg err;

		(void)state;
		assert_int_equal(hf_etcd_lease_parse(json(grant), strlen(grant), false, &l, &err), 0);
		assert_true(l.id == 7587863094690 && l.ttl_s == 5);
		assert_int_equal(hf_etcd_lease_parse(json(kept), strlen(kept), true, &l, &err), 0);
		assert_true(l.id == 7 && l.ttl_s == 5);
		assert_int_equal(hf_etcd_lease_parse(json(gone), strlen(gone), true, &l, &err), 0);
		assert_int_equal(l.ttl_s, 0);
		assert_int_equal(hf_etcd_lease_parse(json(grant), strlen(grant), true, &l, &err), -EPROTO);
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			assert_int_equal(hf_etcd_lease_parse(json(bad[i]), strlen(bad[i]), false, &l, &err), -EPROTO);
}

static void test_a_token_fits_a_header_line(void **state)
{
		static const char *const bad[] = {"{}",
						  "{'token':''}",
						  "{'token':1}",
						  "{'token':'a\\r\\nX: y'}",
						  "{'token':'a b'}",
						  "{'token':'\\u00e4'}"};
		const char *good = "{" HEADER ",'token':'sssvIpwfnLAcWAQH.9'}";
		char token[HF_ETCD_TOKEN_MAX] = "", *text = malloc(HF_ETCD_TOKEN_MAX + 64);
		struct hf_errmsg err;

		(void)state;
		assert_int_equal(hf_etcd_login_parse(json(good), strlen(good), token, &err), 0);
		assert_string_equal(token, "sssvIpwfnLAcWAQH.9");
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			assert_int_equal(hf_etcd_login_parse(json(bad[i]), strlen(bad[i]), token, &err), -EPROTO);
		sprintf(text, "{'token':'%0*d'}", (int)HF_ETCD_TOKEN_MAX, 0);
		turn_quotes(text, '\'', '"');
		assert_int_equal(hf_etcd_login_parse(text, strlen(text), token, &err), -EPROTO);
		assert_string_equal(token, "sssvIpwfnLAcWAQH.9");
		free(text);
}

static void test_news_of_a_watch(void **state)
{
		static const char *const bad[] = {
			"{}",
			"{'result':{}}",
			"{'result':{" HEADER ",'events':1}}",
			"{'result':{" HEADER ",'events':[1]}}",
			"{'result':{" HEADER ",'events':[{'type':'DELETE'}]}}",
			"{'result':{" HEADER ",'created':1}}",
			"{'result':{" HEADER ",'events':[{'kv':" ROW("L2kvYg==", "'5'", "") "}]}}",
			"{'error':{'grpc_code':14,'message':'x'}}",
		};
		const char *created = "{'result':{" HEADER ",'created':true}}";
		const char *changed = "{'result':{" HEADER ",'events':[{'kv':" GOOD_ROW "},{'type':'DELETE','kv':"
				      "{'key':'L2gvYg==','mod_revision':'6'}}]}}";
		const char *compacted = "{'result':{" HEADER ",'canceled':true,'compact_revision':'8'}}";
		struct hf_etcd_news n;
		struct hf_errmsg err;

		(void)state;
		assert_int_equal(hf_etcd_news_parse(json(created), strlen(created), "/h/", &n, &err), 0);
		assert_true(n.created && !n.canceled && n.changed.count == 0 && n.header.revision == 9);
		assert_int_equal(hf_etcd_news_parse(json(changed), strlen(changed), "/h/", &n, &err), 0);
		assert_int_equal(n.changed.count, 2);
		assert_string_equal(n.changed.item[0].key, "a");
		assert_string_equal(n.changed.item[0].value, "");
		assert_string_equal(n.changed.item[1].key, "b");
		assert_int_equal(n.changed.item[1].ver, 6);
		hf_cluster_rows_fini(&n.changed);
		assert_int_equal(hf_etcd_news_parse(json(compacted), strlen(compacted), "/h/", &n, &err), 0);
		assert_true(n.canceled && n.compacted == 8);
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			if (hf_etcd_news_parse(json(bad[i]), strlen(bad[i]), "/h/", &n, &err) != -EPROTO)
				fail_msg("%s", bad[i]);
}

static void test_what_a_refusal_means(void **state)
{
		static const struct {
			const char *text;
			enum hf_etcd_refusal what;
			const char *words;
		} row[] = {
			{"{'error':'etcdserver: invalid auth token','code':16,'message':'etcdserver: invalid auth "
			 "token'}",
			 HF_ETCD_TOKEN, "etcdserver: invalid auth token"},
			{"{'code':3,'message':'etcdserver: revision of auth store is old'}", HF_ETCD_TOKEN,
			 "etcdserver: revision of "
			 "auth store is old"},
			{"{'code':3,'message':'etcdserver: authentication failed, invalid user ID or password'}",
			 HF_ETCD_DENIED, "etcdserver: authentication failed, invalid user ID or password"},
			{"{'code':3,'message':'etcdserver: user name is empty'}", HF_ETCD_DENIED,
			 "etcdserver: user name is empty"},
			{"{'code':3,'message':'etcdserver: too large'}", HF_ETCD_OTHER, "etcdserver: too large"},
			{"{'code':7,'message':'m'}", HF_ETCD_DENIED, "m"},
			{"{'code':8,'message':'etcdserver: mvcc: database space exceeded'}", HF_ETCD_FULL,
			 "etcdserver: mvcc: database space exceeded"},
			{"{'code':8,'message':'etcdserver: too many requests'}", HF_ETCD_OTHER,
			 "etcdserver: too many requests"},
			{"{'code':9,'message':'etcdserver: authentication is not enabled'}", HF_ETCD_DENIED,
			 "etcdserver: authentication is not enabled"},
			{"{'code':11,'message':'etcdserver: mvcc: required revision has been compacted'}",
			 HF_ETCD_COMPACTED, "etcdserver: mvcc: required revision has been compacted"},
			{"{'error':{'grpc_code':16,'message':'t'}}", HF_ETCD_TOKEN, "t"},
			{"{'code':14,'message':'a\\nb\\u001b[31m'}", HF_ETCD_OTHER, "a.b.[31m"},
			{"{'code':'16','message':7}", HF_ETCD_OTHER, "it does not say why in etcd's words"},
			{"garbage", HF_ETCD_OTHER, "it does not say why in etcd's words"},
		};
		char words[160], *text = malloc(2048);

		(void)state;
		for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
			assert_int_equal(hf_etcd_refusal_parse(json(row[i].text), strlen(row[i].text), words),
					 row[i].what);
			assert_string_equal(words, row[i].words);
		}
		sprintf(text, "{'message':'%01000d'}", 0);
		hf_etcd_refusal_parse(json(text), strlen(text), words);
		assert_int_equal(strlen(words), 159);
		free(text);
}

int main(void)
{
		static const struct CMUnitTest tests[] = {
			cmocka_unit_test(test_requests_are_as_documented),
			cmocka_unit_test(test_base64_both_ways),
			cmocka_unit_test(test_a_range_is_read),
			cmocka_unit_test(test_a_range_with_anything_wrong_is_refused_whole),
			cmocka_unit_test(test_a_page_holds_no_more_than_was_asked_for),
			cmocka_unit_test(test_an_answer_of_too_many_values_is_refused),
		cmocka_unit_test(test_a_cas_succeeds_or_fails_with_proof),
			cmocka_unit_test(test_a_cas_answer_without_proof_is_refused),
			cmocka_unit_test(test_leases),
			cmocka_unit_test(test_a_token_fits_a_header_line),
			cmocka_unit_test(test_news_of_a_watch),
			cmocka_unit_test(test_what_a_refusal_means),
		};

		cmocka_set_message_output(CM_OUTPUT_TAP);
		return cmocka_run_group_tests(tests, NULL, NULL);
}
