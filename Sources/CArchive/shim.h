/* Headers of the system library libarchive, behind one Swift wrapper in this package. */
#include <archive.h>
#include <archive_entry.h>
