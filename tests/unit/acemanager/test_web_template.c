/* web_template.h: nothing that is written comes out as markup. */
#include "web_template.h"

#include "web_assets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *name, *text;
} templates[] = {
    {"value", "<p title=\"{{x}}\">{{x}}</p>"},
    {"list", "{{#items}}[{{.name}}|{{name}}|{{outer}}]{{/items}}{{^items}}none{{/items}}"},
    {"words", "{{#list}}<{{.}}>{{/list}}"},
    {"dotted", "{{a.b.c}}{{a.x.c}}{{#a}}{{b.c}}{{.b.c}}{{/a}}"},
    {"truth", "{{#t}}T{{/t}}{{#f}}F{{/f}}{{#n}}N{{/n}}{{#e}}E{{/e}}{{#z}}Z{{/z}}{{#o}}O{{/"
              "o}}{{#s}}S{{s}}{{/s}}"
              "{{^f}}f{{/f}}{{^n}}n{{/n}}{{^missing}}m{{/missing}}"},
    {"numbers", "{{i}} {{r}} {{t}}{{n}}"},
    {"outer", "({{>value}})"},
    {"self", "{{>self}}"},
    {"unknown", "{{>nothing}}"},
    {"open", "{{#x}}a"},
    {"closed", "a{{/x}}"},
    {"crossed", "{{#x}}{{#y}}{{/x}}{{/y}}"},
    {"unended", "a{{x"},
    {"empty", "a{{}}"},
    {"nested", "{{#n}}{{#n}}{{#n}}{{#n}}{{#n}}{{#n}}{{#n}}{{#n}}{{#n}}{{#n}}{{#n}}{{#n}}{{#n}}{{#n}"
               "}{{#n}}{{#n}}x"
               "{{/n}}{{/n}}{{/n}}{{/n}}{{/n}}{{/n}}{{/n}}{{/n}}{{/n}}{{/n}}{{/n}}{{/n}}{{/n}}{{/"
               "n}}{{/n}}{{/n}}"},
};

static struct amm_view find(struct amm_view name)
{
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++) {
        if (amm_view_equal(name, amm_view_str(templates[i].name))) {
            return amm_view_str(templates[i].text);
        }
    }
    return amm_view(NULL, 0);
}

/* The result, to be freed; NULL if it was refused. Takes the data. */
static char *render(const char *name, json_t *data)
{
    struct web_text text = {0};
    bool ok = web_template_render(&text, amm_view_str(name), data, find);
    json_decref(data);
    web_text_add(&text, amm_view("", 1));
    if (!ok) {
        web_text_deinit(&text);
        return NULL;
    }
    return text.data;
}

static void expect(const char *name, json_t *data, const char *expected)
{
    char *got = render(name, data);
    assert_non_null(got);
    assert_string_equal(got, expected);
    free(got);
}

static void sections_and_names(void **state)
{
    (void)state;
    expect("list", json_pack("{s[{ss}{}], ss ss}", "items", "name", "a", "outer", "o", "name", "n"),
           "[a|a|o][|n|o]");
    expect("list", json_pack("{s[]}", "items"), "none");
    expect("list", json_pack("{}"), "none");
    expect("words", json_pack("{s[ss]}", "list", "a", "<b>"), "<a><&lt;b&gt;>");
    expect("dotted", json_pack("{s{s{ss}}}", "a", "b", "c", "deep"), "deepdeepdeep");
    expect("truth",
           json_pack("{sb sb sn s[] si s{} ss}", "t", true, "f", false, "n", "e", "z", 0, "o", "s",
                     "text"),
           "TOStextfnm");
    expect(
        "numbers",
        json_pack("{sI sf sb sn}", "i", (json_int_t)-9007199254740993, "r", 48.25, "t", true, "n"),
        "-9007199254740993 48.25 ");
    expect("outer", json_pack("{ss}", "x", "1"), "(<p title=\"1\">1</p>)");
}

static void what_is_no_template_is_refused(void **state)
{
    (void)state;
    static const char *const broken[] = {"self",    "unknown", "open",  "closed",
                                         "crossed", "unended", "empty", "nowhere"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_null(render(broken[i], json_pack("{ss ss}", "x", "1", "y", "2")));
    }
    assert_null(render("nested", json_pack("{s{}}", "n"))); /* too deep */
}

/* ---- hostile values ---- */

static const char *const payloads[] = {
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "</title><script>alert(1)</script>",
    "<iframe srcdoc=\"<script>alert(1)</script>\">",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;",
    "<!--<script>",
    "-->",
    "]]><script>",
    "<math><mi xlink:href=data:x>",
    "<a href=\"jav&#x09;ascript:alert(1)\">",
    "<style>@import'//evil'</style>",
    "{{constructor}}",
    "{{#x}}",
    "{{/x}}",
    "{{>value}}",
    "${7*7}",
    "<%= 7 %>",
    "`onclick=alert(1)",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "\\u003cscript\\u003e",
    "<body onload=alert(1)>",
    "<base href=//evil>",
    "<form action=//evil><button>",
    "<meta http-equiv=refresh content=0;url=//evil>",
    "<object data=//evil>",
    "<x/onclick=alert(1)>a",
    "\t<script\n>alert(1)</script >",
    "<<script>alert(1)//<</script>",
    "\" autofocus onfocus=alert(1) x=\"",
    "<textarea></textarea><script>",
    "</textarea><script>alert(1)</script>",
    "<svg><script>alert&lpar;1)",
    "+ADw-script+AD4-",
    "%3Cscript%3E",
    "<\xc2\xadscript>",
    "<ſcript>",
};
static const char *const before[] = {"",     "a", "\"",     "'", ">",  "\">", "'>",
                                     "</p>", "&", "&quot;", "<", "\n", " ",   "\xf0\x9f\x9a\x8c"};
static const char *const behind[] = {"", "<", "\""};

/* What a browser makes of an attribute or a text: the five entities back. */
static void unescape(const char *text, size_t len, char *out)
{
    static const char *const entities[][2] = {
        {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#39;", "'"}};
    for (size_t i = 0; i < len;) {
        size_t k = 0;
        while (k < 5 && strncmp(text + i, entities[k][0], strlen(entities[k][0])) != 0) {
            k++;
        }
        *out++ = k < 5 ? entities[k][1][0] : text[i];
        i += k < 5 ? strlen(entities[k][0]) : 1;
        assert_true(k < 5 || (text[i - 1] != '&' && text[i - 1] != '<' && text[i - 1] != '>' &&
                              text[i - 1] != '"' && text[i - 1] != '\''));
    }
    *out = '\0';
}

static void hostile_values_stay_text(void **state)
{
    (void)state;
    unsigned n = 0;
    for (size_t b = 0; b < sizeof before / sizeof before[0]; b++) {
        for (size_t p = 0; p < sizeof payloads / sizeof payloads[0]; p++) {
            for (size_t e = 0; e < sizeof behind / sizeof behind[0]; e++, n++) {
                char value[512], back[1024];
                snprintf(value, sizeof value, "%s%s%s", before[b], payloads[p], behind[e]);
                char *got = render("value", json_pack("{ss}", "x", value));
                assert_non_null(got);
                const char *attribute = got + strlen("<p title=\"");
                size_t len = strcspn(attribute, "\"");
                unescape(attribute, len, back);
                assert_string_equal(back, value);
                assert_memory_equal(attribute + len, "\">", 2);
                const char *text = attribute + len + 2;
                len = strcspn(text, "<");
                unescape(text, len, back);
                assert_string_equal(back, value);
                assert_string_equal(text + len, "</p>");
                free(got);
            }
        }
    }
    assert_true(n >= 1000);
}

static void a_page_has_a_limit(void **state)
{
    (void)state;
    struct web_text text = {0};
    static char piece[64 * 1024];
    memset(piece, '&', sizeof piece);
    for (int i = 0; i < 8 && !text.failed; i++) {
        web_text_add_escaped(&text, amm_view(piece, sizeof piece));
    }
    assert_true(text.failed);
    assert_true(text.len <= WEB_TEXT_MAX);
    web_text_deinit(&text);
}

static void every_template_of_the_program_renders(void **state)
{
    (void)state;
    for (size_t i = 0; i < web_assets_count; i++) {
        if (!web_assets[i].type) {
            struct web_text text = {0};
            json_t *nothing = json_object();
            assert_true(web_template_render(&text, amm_view_str(web_assets[i].name), nothing,
                                            web_asset_template));
            json_decref(nothing);
            web_text_deinit(&text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_and_names),
        cmocka_unit_test(what_is_no_template_is_refused),
        cmocka_unit_test(hostile_values_stay_text),
        cmocka_unit_test(a_page_has_a_limit),
        cmocka_unit_test(every_template_of_the_program_renders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
