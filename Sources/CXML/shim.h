/* Headers of the system library libxml2, of which this package uses the parsers. */
#include <libxml/xmlversion.h>
/* Debian's brings ICU's headers, for what isn't used here: Foundation has others of the same names. */
#undef LIBXML_ICU_ENABLED
#include <libxml/HTMLparser.h>
#include <libxml/parser.h>

/* A variable that holds a function, which Swift can't use from several threads. */
static inline void xml_shim_free(xmlChar *text) { xmlFree(text); }
