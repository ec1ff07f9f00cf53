#include "router/http_chars.h"

#define IS_DIGIT(c)      ((c) >= '0' && (c) <= '9')
#define IS_UPPER(c)      ((c) >= 'A' && (c) <= 'Z')
#define IS_LOWER(c)      ((c) >= 'a' && (c) <= 'z')
#define IS_ALNUM(c)      (IS_DIGIT(c) || IS_UPPER(c) || IS_LOWER(c))
#define IS_HEX(c)        (IS_DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))
#define IS_UNRESERVED(c) (IS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define IS_TOKEN_MARK(c)                                                                   \
	((c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || (c) == '&' || (c) == '\'' \
		|| (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || (c) == '^'      \
		|| (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
#define IS_TOKEN(c) (IS_ALNUM(c) || IS_TOKEN_MARK(c))
#define IS_SUB_DELIM_BUT_COMMA(c)                                                          \
	((c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' || (c) == ')' \
		|| (c) == '*' || (c) == '+' || (c) == ';' || (c) == '=')
#define IS_REG_NAME(c) (IS_UNRESERVED(c) || IS_SUB_DELIM_BUT_COMMA(c))
#define IS_PATH(c)                                                                            \
	(IS_REG_NAME(c) || (c) == ',' || (c) == ':' || (c) == '@' || (c) == '/' || (c) == '|' \
		|| (c) == '[' || (c) == ']' || (c) == '^')

#define CLASSES(c)                                                                                \
	((IS_TOKEN(c) ? HTTP_CHAR_TOKEN : 0) | (IS_DIGIT(c) ? HTTP_CHAR_DIGIT : 0)                \
		| (IS_HEX(c) ? HTTP_CHAR_HEX : 0) | (IS_UNRESERVED(c) ? HTTP_CHAR_UNRESERVED : 0) \
		| (IS_REG_NAME(c) ? HTTP_CHAR_REG_NAME : 0) | (IS_PATH(c) ? HTTP_CHAR_PATH : 0))
#define TOKEN_LOWER(c) (IS_UPPER(c) ? (c) | 0x20 : IS_TOKEN(c) ? (c) : 0)

#define ROW_4(of, c)  of(c), of((c) + 1), of((c) + 2), of((c) + 3)
#define ROW_16(of, c) ROW_4(of, c), ROW_4(of, (c) + 4), ROW_4(of, (c) + 8), ROW_4(of, (c) + 12)
#define ROW_64(of, c) \
	ROW_16(of, c), ROW_16(of, (c) + 16), ROW_16(of, (c) + 32), ROW_16(of, (c) + 48)
#define ALL_BYTES(of) ROW_64(of, 0), ROW_64(of, 64), ROW_64(of, 128), ROW_64(of, 192)

const uint8_t http_chars[256] = {ALL_BYTES(CLASSES)};
const uint8_t http_token_lower[256] = {ALL_BYTES(TOKEN_LOWER)};
