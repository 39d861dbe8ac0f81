# Fetch the npm packages that a lock file names into a folder of the build: cmake -DFROM=… -DTO=… -DNPM=… -DREMEDY=… -P fetch.cmake
#
# FROM has package.json, package-lock.json and .npmrc; TO gets node_modules and, when that is complete, the file `fetched`.
# npm's own cache is asked first, so that further builds on one machine need no network. No script of a package is run.
file(MAKE_DIRECTORY ${TO})
file(COPY ${FROM}/package.json ${FROM}/package-lock.json ${FROM}/.npmrc DESTINATION ${TO})
file(REMOVE ${TO}/fetched)
foreach(try RANGE 1 2)
    execute_process(COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error --fetch-retries=2
            --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=4000 --fetch-timeout=60000
        WORKING_DIRECTORY ${TO} TIMEOUT 300 RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(result STREQUAL "0")
        file(WRITE ${TO}/fetched "")
        return()
    endif()
endforeach()
string(STRIP "${output}" output)
message(FATAL_ERROR "npm could not fetch the packages that ${FROM}/package-lock.json names (${result}):\n${output}\n${REMEDY}")
