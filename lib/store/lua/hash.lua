-- hash.lua - a list of names and values as a table of Lua, and whether a word stands in a list of words.
local function pairs_of(list)
    local map = {}
    for i = 1, #list, 2 do
        map[list[i]] = list[i + 1]
    end
    return map
end
local function has_word(words, word)
    return string.find(' ' .. words .. ' ', ' ' .. word .. ' ', 1, true) ~= nil
end
