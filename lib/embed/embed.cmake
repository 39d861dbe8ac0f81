# pj_embed(TARGET TABLE FILES …): files become a C table `const struct pj_embedded TABLE[]` ending in a NULL name, rebuilt when
# a file is edited. The entry's name is the file's name without its folder. Include "lib/embed/embed.h" and declare
# `extern const struct pj_embedded TABLE[];`.
function(pj_embed target table)
    cmake_parse_arguments(A "" "" "FILES" ${ARGN})
    set(out ${CMAKE_BINARY_DIR}/generated/${table}.c)
    set(inputs "")
    foreach(file ${A_FILES})
        get_filename_component(path ${file} ABSOLUTE BASE_DIR ${CMAKE_CURRENT_SOURCE_DIR})
        list(APPEND inputs ${path})
    endforeach()
    string(REPLACE ";" "|" joined "${inputs}")
    add_custom_command(OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DTABLE=${table} "-DFILES=${joined}" -P ${CMAKE_SOURCE_DIR}/lib/embed/embed_file.cmake
        DEPENDS ${inputs} ${CMAKE_SOURCE_DIR}/lib/embed/embed_file.cmake
        VERBATIM COMMENT "Embedding ${table}")
    target_sources(${target} PRIVATE ${out})
endfunction()
