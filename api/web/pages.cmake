# The pages: bundled by esbuild out of src/ and the packages that package-lock.json names, or with PJ_UI=off one page that says so.
# Either way the table api_web_files of pj_api, in whose folder this is included.
if(NOT PJ_UI)
    pj_embed(pj_api api_web_files FILES web/off/index.html)
    return()
endif()

find_program(PJ_NODE NAMES node nodejs)
find_program(PJ_NPM npm)
if(NOT PJ_NODE OR NOT PJ_NPM)
    message(FATAL_ERROR "The pages are built with Node.js (18 or later) and npm, and at least one of them is missing: apt-get install nodejs npm, "
        "or build without pages: PJ_UI=off ./dev …, or cmake -DPJ_UI=off …")
endif()

execute_process(COMMAND ${PJ_NODE} --version OUTPUT_VARIABLE node_version OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT node_version MATCHES "^v([0-9]+)" OR CMAKE_MATCH_1 LESS 18)
    message(FATAL_ERROR "The pages are built with Node.js 18 or later, and ${PJ_NODE} says ${node_version}. Build without pages: PJ_UI=off ./dev …, or cmake -DPJ_UI=off …")
endif()

set(ui ${CMAKE_BINARY_DIR}/ui)
add_custom_command(OUTPUT ${ui}/fetched
    COMMAND ${CMAKE_COMMAND} -DFROM=${CMAKE_CURRENT_LIST_DIR} -DTO=${ui} -DNPM=${PJ_NPM}
        "-DREMEDY=Is the npm registry reachable (npm config get registry)? Without it, build without pages: PJ_UI=off ./dev …, or cmake -DPJ_UI=off …"
        -P ${CMAKE_CURRENT_LIST_DIR}/fetch.cmake
    DEPENDS web/package.json web/package-lock.json web/.npmrc web/fetch.cmake VERBATIM COMMENT "Fetching the packages of the pages")

set(made ${ui}/dist/app.js ${ui}/dist/charts.js ${ui}/dist/icon.svg ${ui}/dist/index.html ${ui}/dist/style.css)
file(GLOB sources CONFIGURE_DEPENDS web/src/*)
add_custom_command(OUTPUT ${made}
    COMMAND ${PJ_NODE} ${CMAKE_CURRENT_LIST_DIR}/build.mjs ${ui} ${ui}/dist
    DEPENDS ${ui}/fetched ${sources} web/build.mjs VERBATIM COMMENT "Bundling the pages")
pj_embed(pj_api api_web_files FILES ${made})
