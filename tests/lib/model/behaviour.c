#include "tests/lib/model/behaviour.h"
#include "lib/base/cleanup.h"

/* clang-format off */
#define D(json) "data: " json "\n\n"
#define E(name, json) "event: " name "\ndata: " json "\n\n"
#define CHUNK(delta, finish) D("{\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}")
#define USAGE D("{\"choices\":[],\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":10,\"prompt_tokens_details\":{\"cached_tokens\":40}}}")
#define DONE "data: [DONE]\n\n"
#define CALL(index, id, name, args) "{\"tool_calls\":[{\"index\":" index ",\"id\":" id ",\"function\":{\"name\":" name ",\"arguments\":" args "}}]}"
#define ARGS(index, args) "{\"tool_calls\":[{\"index\":" index ",\"function\":{\"arguments\":" args "}}]}"
#define ERR(type, code, message) "{\"error\":{\"message\":\"" message "\",\"type\":\"" type "\",\"param\":null,\"code\":" code "}}"
#define AERR(type, message) "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message "\"},\"request_id\":\"req_1\"}"

#define A_START E("message_start", "{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":50,\"cache_read_input_tokens\":30,\"cache_creation_input_tokens\":10,\"output_tokens\":1}}}")
#define A_TEXT(i, t) E("content_block_start", "{\"type\":\"content_block_start\",\"index\":" i ",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}") \
    E("content_block_delta", "{\"type\":\"content_block_delta\",\"index\":" i ",\"delta\":{\"type\":\"text_delta\",\"text\":\"" t "\"}}") \
    E("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":" i "}")
#define A_CALL(i, id, name) E("content_block_start", "{\"type\":\"content_block_start\",\"index\":" i ",\"content_block\":{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"" name "\",\"input\":{}}}")
#define A_ARGS(i, t) E("content_block_delta", "{\"type\":\"content_block_delta\",\"index\":" i ",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"" t "\"}}")
#define A_STOP(i) E("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":" i "}")
#define A_END(why) E("message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" why "\"},\"usage\":{\"output_tokens\":10}}") E("message_stop", "{\"type\":\"message_stop\"}")

#define R_ITEM(item) E("response.output_item.done", "{\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":" item "}")
#define R_MSG(t) R_ITEM("{\"type\":\"message\",\"role\":\"assistant\",\"status\":\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":\"" t "\"}]}")
#define R_CALL(id, name, args, status) R_ITEM("{\"type\":\"function_call\",\"id\":\"fc\",\"call_id\":\"" id "\",\"name\":\"" name "\",\"arguments\":\"" args "\",\"status\":\"" status "\"}")
#define R_END(status, rest) E("response." status, "{\"type\":\"response." status "\",\"response\":{\"status\":\"" status "\"" rest ",\"output\":[],\"usage\":{\"input_tokens\":90,\"input_tokens_details\":{\"cached_tokens\":40},\"output_tokens\":10,\"output_tokens_details\":{\"reasoning_tokens\":4}}}}")

const struct behaviour behaviours[] = {
    /* Chat Completions: streams */
    {"text in pieces", PJ_API_CHAT, .body = CHUNK("{\"role\":\"assistant\",\"content\":\"Hel\"}", "null") CHUNK("{\"content\":\"lo\"}", "null") CHUNK("{}", "\"stop\"") USAGE DONE,
     .text = "Hello", .calls = "[]", .stop = PJ_STOP_END, .prompt = 90, .output = 10},
    {"a call in fragments", PJ_API_CHAT, .body = CHUNK(CALL("0", "\"call_1\"", "\"run\"", "\"\""), "null") CHUNK(ARGS("0", "\"{\\\"com\""), "null") CHUNK(ARGS("0", "\"mand\\\":\\\"ls\\\"}\""), "null") CHUNK("{}", "\"tool_calls\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"call_1\",\"name\":\"run\",\"arguments\":{\"command\":\"ls\"}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"parallel calls interleaved", PJ_API_CHAT, .body = CHUNK(CALL("0", "\"a\"", "\"x\"", "\"{\""), "null") CHUNK(CALL("1", "\"b\"", "\"y\"", "\"{\""), "null") CHUNK(ARGS("0", "\"}\""), "null") CHUNK(ARGS("1", "\"}\""), "null") CHUNK("{}", "\"tool_calls\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"a\",\"name\":\"x\",\"arguments\":{}},{\"id\":\"b\",\"name\":\"y\",\"arguments\":{}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"every index is 0, told apart by id", PJ_API_CHAT, .body = CHUNK(CALL("0", "\"a\"", "\"x\"", "\"{}\""), "null") CHUNK(CALL("0", "\"b\"", "\"y\"", "\"{}\""), "null") CHUNK("{}", "\"tool_calls\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"a\",\"name\":\"x\",\"arguments\":{}},{\"id\":\"b\",\"name\":\"y\",\"arguments\":{}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"every index is 0 and no ids", PJ_API_CHAT, .body = CHUNK(CALL("0", "null", "\"x\"", "\"{}\""), "null") CHUNK(CALL("0", "null", "\"y\"", "\"{}\""), "null") CHUNK("{}", "\"stop\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"t1_1\",\"name\":\"x\",\"arguments\":{}},{\"id\":\"t1_2\",\"name\":\"y\",\"arguments\":{}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"finish_reason stop in spite of calls", PJ_API_CHAT, .body = CHUNK(CALL("0", "\"a\"", "\"x\"", "\"{}\""), "\"stop\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"a\",\"name\":\"x\",\"arguments\":{}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"arguments as an object", PJ_API_CHAT, .body = CHUNK(CALL("0", "\"a\"", "\"x\"", "{\"k\":1}"), "\"tool_calls\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"a\",\"name\":\"x\",\"arguments\":{\"k\":1}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"arguments encoded twice", PJ_API_CHAT, .body = CHUNK(CALL("0", "\"a\"", "\"x\"", "\"\\\"{\\\\\\\"k\\\\\\\":1}\\\"\""), "\"tool_calls\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"a\",\"name\":\"x\",\"arguments\":{\"k\":1}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"arguments that are no JSON", PJ_API_CHAT, .body = CHUNK(CALL("0", "\"a\"", "\"x\"", "\"{k:1\""), "\"tool_calls\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"a\",\"name\":\"x\",\"raw\":\"{k:1\"}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"no arguments at all", PJ_API_CHAT, .body = CHUNK(CALL("0", "\"a\"", "\"x\"", "null"), "\"tool_calls\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"a\",\"name\":\"x\",\"arguments\":{}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"arguments nested too deeply", PJ_API_CHAT, .body = CHUNK(CALL("0", "\"a\"", "\"x\"", "\"{\\\"k\\\":[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]}\""), "\"tool_calls\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"a\",\"name\":\"x\",\"raw\":\"{\\\"k\\\":[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]}\"}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"an id no other provider takes", PJ_API_CHAT, .body = CHUNK(CALL("0", "\"call:1/ü\"", "\"x\"", "\"{}\""), "\"tool_calls\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"t1_1\",\"name\":\"x\",\"arguments\":{}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"the same id twice", PJ_API_CHAT, .body = CHUNK(CALL("0", "\"a\"", "\"x\"", "\"{}\""), "null") CHUNK(CALL("1", "\"a\"", "\"y\"", "\"{}\""), "\"tool_calls\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"a\",\"name\":\"x\",\"arguments\":{}},{\"id\":\"t1_2\",\"name\":\"y\",\"arguments\":{}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"length in a call", PJ_API_CHAT, .body = CHUNK(CALL("0", "\"a\"", "\"x\"", "\"{}\""), "null") CHUNK(CALL("1", "\"b\"", "\"y\"", "\"{\\\"k\""), "\"length\"") USAGE DONE,
     .text = "", .calls = "[{\"id\":\"a\",\"name\":\"x\",\"arguments\":{}}]", .stop = PJ_STOP_LENGTH, .prompt = 90, .output = 10},
    {"comments and CRLF", PJ_API_CHAT, .body = ": OPENROUTER PROCESSING\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\r\n\r\n" USAGE DONE,
     .text = "Hi", .calls = "[]", .stop = PJ_STOP_END, .prompt = 90, .output = 10},
    {"unknown events and fields", PJ_API_CHAT, .body = E("ping", "{\"hello\":1}") E("x", "[1]") CHUNK("{\"content\":\"Hi\",\"mood\":\"good\"}", "\"stop\"") USAGE DONE,
     .text = "Hi", .calls = "[]", .stop = PJ_STOP_END, .prompt = 90, .output = 10},
    {"no [DONE] but a finish_reason", PJ_API_CHAT, .body = CHUNK("{\"content\":\"Hi\"}", "\"stop\"") USAGE, .text = "Hi", .calls = "[]", .stop = PJ_STOP_END, .prompt = 90, .output = 10},
    {"choices missing beside usage", PJ_API_CHAT, .body = CHUNK("{\"content\":\"Hi\"}", "\"stop\"") D("{\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":10}}") DONE,
     .text = "Hi", .calls = "[]", .stop = PJ_STOP_END, .prompt = 90, .output = 10},
    {"usage missing", PJ_API_CHAT, .body = CHUNK("{\"content\":\"Hi\"}", "\"stop\"") DONE, .text = "Hi", .calls = "[]", .stop = PJ_STOP_END, .prompt = -1, .output = -1},
    {"huge usage", PJ_API_CHAT, .body = CHUNK("{\"content\":\"Hi\"}", "\"stop\"") D("{\"choices\":[],\"usage\":{\"prompt_tokens\":9e300,\"completion_tokens\":-5}}") DONE,
     .text = "Hi", .calls = "[]", .stop = PJ_STOP_END, .prompt = 1000000000000, .output = 0},
    {"cut before the end", PJ_API_CHAT, .body = CHUNK("{\"content\":\"Hi\"}", "null"), .fault = PJ_FAULT_SERVICE, .code = "llm_service", .text = "before the answer was complete", .prompt = -1, .output = -1},
    {"connection reset in the stream", PJ_API_CHAT, .body = CHUNK("{\"content\":\"Hi\"}", "null"), .trouble = CUT, .fault = PJ_FAULT_SERVICE, .code = "llm_service", .prompt = -1, .output = -1},
    {"stall in the stream", PJ_API_CHAT, .body = CHUNK("{\"content\":\"Hi\"}", "null"), .trouble = STALL, .fault = PJ_FAULT_SERVICE, .code = "llm_service", .text = "no byte received", .prompt = -1, .output = -1},
    {"no first byte", PJ_API_CHAT, .trouble = SILENCE, .fault = PJ_FAULT_SERVICE, .code = "llm_service", .text = "no byte received"},
    {"half JSON in an event", PJ_API_CHAT, .body = "data: {\"choices\":[{\"delta\"\n\n", .fault = PJ_FAULT_PROTOCOL, .code = "model_protocol", .prompt = -1, .output = 0},
    {"an HTML page", PJ_API_CHAT, .body = "<html>Welcome</html>", .fault = PJ_FAULT_SERVICE, .code = "llm_service", .prompt = -1, .output = 0},
    {"an empty answer", PJ_API_CHAT, .body = "", .fault = PJ_FAULT_PROTOCOL, .code = "model_protocol"},
    {"an error in the stream", PJ_API_CHAT, .body = CHUNK("{\"content\":\"Hi\"}", "null") D(ERR("server_error", "null", "boom")), .fault = PJ_FAULT_SERVICE, .code = "llm_service", .text = "boom", .prompt = -1, .output = -1},
    {"a numeric error in the stream", PJ_API_CHAT, .body = D("{\"error\":{\"code\":429,\"message\":\"slow\"},\"choices\":[]}"), .fault = PJ_FAULT_RATE, .code = "llm_rate_limited", .text = "slow", .prompt = -1, .output = 0},
    {"a refusal", PJ_API_CHAT, .body = CHUNK("{\"refusal\":\"I cannot help.\"}", "\"stop\"") USAGE DONE, .fault = PJ_FAULT_REFUSED, .code = "llm_refused", .text = "I cannot help.", .prompt = 90, .output = 10},
    {"a content filter", PJ_API_CHAT, .body = CHUNK("{\"content\":\"\"}", "\"content_filter\"") USAGE DONE, .fault = PJ_FAULT_REFUSED, .code = "llm_refused", .prompt = 90, .output = 10},
    /* Chat Completions: plain answers */
    {"a plain answer though a stream was asked for", PJ_API_CHAT, .body = "{\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":10,\"cost\":0.0125}}",
     .text = "Hi", .calls = "[]", .stop = PJ_STOP_END, .prompt = 90, .output = 10},
    {"content in parts", PJ_API_CHAT, .body = "{\"choices\":[{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"Hi\"}]},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":10}}",
     .text = "Hi", .calls = "[]", .stop = PJ_STOP_END, .prompt = 90, .output = 10},
    {"empty choices", PJ_API_CHAT, .body = "{\"choices\":[]}", .fault = PJ_FAULT_PROTOCOL, .code = "model_protocol", .prompt = -1, .output = 0},
    {"half a document", PJ_API_CHAT, .body = "{\"choices\":[{\"mess", .fault = PJ_FAULT_PROTOCOL, .code = "model_protocol", .prompt = -1, .output = 0},
    {"an error with status 200", PJ_API_CHAT, .body = "{\"error\":{\"code\":502,\"message\":\"upstream\"}}", .fault = PJ_FAULT_SERVICE, .code = "llm_service", .text = "upstream", .prompt = -1, .output = 0},
    /* errors by status */
    {"401", PJ_API_CHAT, .status = 401, .body = ERR("invalid_request_error", "\"invalid_api_key\"", "Incorrect API key provided"), .fault = PJ_FAULT_AUTH, .code = "llm_auth", .text = "Incorrect API key"},
    {"403", PJ_API_CHAT, .status = 403, .body = ERR("x", "null", "country"), .fault = PJ_FAULT_AUTH, .code = "llm_auth"},
    {"402", PJ_API_CHAT, .status = 402, .body = "{\"error\":{\"code\":402,\"message\":\"Insufficient credits\"}}", .fault = PJ_FAULT_QUOTA, .code = "llm_quota"},
    {"404 model", PJ_API_CHAT, .status = 404, .body = ERR("invalid_request_error", "\"model_not_found\"", "The model does not exist"), .fault = PJ_FAULT_MODEL, .code = "llm_model_not_found"},
    {"404 page", PJ_API_CHAT, .status = 404, .body = "<html>not here</html>", .fault = PJ_FAULT_MODEL, .code = "llm_model_not_found", .text = "not here"},
    {"413", PJ_API_CHAT, .status = 413, .body = "", .fault = PJ_FAULT_CONTEXT, .code = "llm_context"},
    {"context by code", PJ_API_CHAT, .status = 400, .body = ERR("invalid_request_error", "\"context_length_exceeded\"", "too long"), .fault = PJ_FAULT_CONTEXT, .code = "llm_context"},
    {"context by words", PJ_API_CHAT, .status = 400, .body = "{\"error\":{\"type\":\"exceed_context_size_error\",\"message\":\"the request exceeds the available context size\"}}", .fault = PJ_FAULT_CONTEXT, .code = "llm_context"},
    {"429 without Retry-After", PJ_API_CHAT, .status = 429, .body = ERR("requests", "\"rate_limit_exceeded\"", "Rate limit reached"), .fault = PJ_FAULT_RATE, .code = "llm_rate_limited"},
    {"429 with Retry-After", PJ_API_CHAT, .status = 429, .header = "Retry-After: 7", .body = ERR("requests", "\"rate_limit_exceeded\"", "Rate limit reached"), .fault = PJ_FAULT_RATE, .code = "llm_rate_limited"},
    {"429 quota", PJ_API_CHAT, .status = 429, .body = ERR("insufficient_quota", "\"insufficient_quota\"", "You exceeded your current quota"), .fault = PJ_FAULT_QUOTA, .code = "llm_quota"},
    {"a model without tools", PJ_API_CHAT, .status = 400, .body = "{\"error\":{\"message\":\"registry.ollama.ai/library/gemma:2b does not support tools\",\"type\":\"api_error\",\"param\":null,\"code\":null}}", .fault = PJ_FAULT_TOOLS, .code = "model_protocol"},
    {"no end point with tools", PJ_API_CHAT, .status = 404, .body = "{\"error\":{\"message\":\"No endpoints found that support tool use.\",\"code\":404}}", .fault = PJ_FAULT_TOOLS, .code = "model_protocol"},
    {"400 of another kind", PJ_API_CHAT, .status = 400, .body = ERR("invalid_request_error", "null", "messages is wrong"), .fault = PJ_FAULT_REQUEST, .code = "model_protocol"},
    {"400 by policy", PJ_API_CHAT, .status = 400, .body = ERR("invalid_request_error", "\"content_policy_violation\"", "not allowed"), .fault = PJ_FAULT_REFUSED, .code = "llm_refused"},
    {"a redirect", PJ_API_CHAT, .status = 301, .header = "Location: https://elsewhere.invalid/", .body = "", .fault = PJ_FAULT_REQUEST, .code = "model_protocol"},
    {"500", PJ_API_CHAT, .status = 500, .body = "oops", .fault = PJ_FAULT_SERVICE, .code = "llm_service", .text = "oops"},
    {"503", PJ_API_CHAT, .status = 503, .body = ERR("server_error", "null", "overloaded"), .fault = PJ_FAULT_SERVICE, .code = "llm_service"},
    /* Messages */
    {"Messages: text and calls", PJ_API_MESSAGES, .body = A_START E("ping", "{\"type\":\"ping\"}") A_TEXT("0", "Hi") A_CALL("1", "toolu_1", "run") A_ARGS("1", "{\\\"command\\\":") A_ARGS("1", "\\\"ls\\\"}") A_STOP("1") A_CALL("2", "toolu_2", "list_dir") A_STOP("2") A_END("tool_use"),
     .text = "Hi", .calls = "[{\"id\":\"toolu_1\",\"name\":\"run\",\"arguments\":{\"command\":\"ls\"}},{\"id\":\"toolu_2\",\"name\":\"list_dir\",\"arguments\":{}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"Messages: max_tokens in a call", PJ_API_MESSAGES, .body = A_START A_TEXT("0", "Hi") A_CALL("1", "toolu_1", "run") A_ARGS("1", "{\\\"comm") A_STOP("1") A_END("max_tokens"),
     .text = "Hi", .calls = "[]", .stop = PJ_STOP_LENGTH, .prompt = 90, .output = 10},
    {"Messages: refusal", PJ_API_MESSAGES, .body = A_START A_TEXT("0", "No") A_END("refusal"), .fault = PJ_FAULT_REFUSED, .code = "llm_refused", .prompt = 90, .output = 10},
    {"Messages: end of the window", PJ_API_MESSAGES, .body = A_START A_TEXT("0", "No") A_END("model_context_window_exceeded"), .fault = PJ_FAULT_CONTEXT, .code = "llm_context", .prompt = 90, .output = 10},
    {"Messages: overloaded in the stream", PJ_API_MESSAGES, .body = A_START E("error", AERR("overloaded_error", "Overloaded")), .fault = PJ_FAULT_SERVICE, .code = "llm_service", .text = "Overloaded", .prompt = -1, .output = -1},
    {"Messages: 529", PJ_API_MESSAGES, .status = 529, .body = AERR("overloaded_error", "Overloaded"), .fault = PJ_FAULT_SERVICE, .code = "llm_service"},
    {"Messages: 429", PJ_API_MESSAGES, .status = 429, .header = "retry-after: 7", .body = AERR("rate_limit_error", "slow"), .fault = PJ_FAULT_RATE, .code = "llm_rate_limited"},
    {"Messages: no credit", PJ_API_MESSAGES, .status = 400, .body = AERR("invalid_request_error", "Your credit balance is too low to access the API"), .fault = PJ_FAULT_QUOTA, .code = "llm_quota"},
    {"Messages: prompt too long", PJ_API_MESSAGES, .status = 400, .body = AERR("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), .fault = PJ_FAULT_CONTEXT, .code = "llm_context"},
    {"Messages: 404", PJ_API_MESSAGES, .status = 404, .body = AERR("not_found_error", "model: claude-none"), .fault = PJ_FAULT_MODEL, .code = "llm_model_not_found"},
    {"Messages: plain", PJ_API_MESSAGES, .body = "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"Hi\"},{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"run\",\"input\":{\"command\":\"ls\"}}],\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":90,\"output_tokens\":10}}",
     .text = "Hi", .calls = "[{\"id\":\"toolu_1\",\"name\":\"run\",\"arguments\":{\"command\":\"ls\"}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    /* Responses */
    {"Responses: text and call", PJ_API_RESPONSES, .body = E("response.created", "{\"type\":\"response.created\"}") R_ITEM("{\"type\":\"reasoning\",\"id\":\"rs\",\"summary\":[],\"encrypted_content\":\"xyz\"}") R_MSG("Hi") R_CALL("call_1", "run", "{\\\"command\\\":\\\"ls\\\"}", "completed") R_END("completed", ""),
     .text = "Hi", .calls = "[{\"id\":\"call_1\",\"name\":\"run\",\"arguments\":{\"command\":\"ls\"}}]", .stop = PJ_STOP_CALLS, .prompt = 90, .output = 10},
    {"Responses: incomplete in a call", PJ_API_RESPONSES, .body = R_CALL("call_1", "run", "{\\\"comm", "incomplete") R_END("incomplete", ",\"incomplete_details\":{\"reason\":\"max_output_tokens\"}"),
     .text = "", .calls = "[]", .stop = PJ_STOP_LENGTH, .prompt = 90, .output = 10},
    {"Responses: content filter", PJ_API_RESPONSES, .body = R_END("incomplete", ",\"incomplete_details\":{\"reason\":\"content_filter\"}"), .fault = PJ_FAULT_REFUSED, .code = "llm_refused", .prompt = 90, .output = 10},
    {"Responses: refusal part", PJ_API_RESPONSES, .body = R_ITEM("{\"type\":\"message\",\"content\":[{\"type\":\"refusal\",\"refusal\":\"I cannot\"}]}") R_END("completed", ""), .fault = PJ_FAULT_REFUSED, .code = "llm_refused", .text = "I cannot", .prompt = 90, .output = 10},
    {"Responses: failed", PJ_API_RESPONSES, .body = R_END("failed", ",\"error\":{\"code\":\"server_error\",\"message\":\"boom\"}"), .fault = PJ_FAULT_SERVICE, .code = "llm_service", .text = "boom", .prompt = 90, .output = 10},
    {"Responses: error event", PJ_API_RESPONSES, .body = E("error", "{\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"slow\"}"), .fault = PJ_FAULT_RATE, .code = "llm_rate_limited", .text = "slow", .prompt = -1, .output = 0},
    {"Responses: ends early", PJ_API_RESPONSES, .body = R_MSG("Hi"), .fault = PJ_FAULT_SERVICE, .code = "llm_service", .prompt = -1, .output = -1},
    {"Responses: plain", PJ_API_RESPONSES, .body = "{\"status\":\"completed\",\"error\":null,\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hi\"}]}],\"usage\":{\"input_tokens\":90,\"output_tokens\":10}}",
     .text = "Hi", .calls = "[]", .stop = PJ_STOP_END, .prompt = 90, .output = 10},
};
/* clang-format on */
const size_t behaviour_count = PJ_COUNT_OF(behaviours);
