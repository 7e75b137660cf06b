"""English words as answers use them: which say the same, which carry little, which are units, numbers, conditions.

Owns word lists only; what they mean for answers is decided in `cache/answer_text.py`, `cache/answer_traits.py` and
`cache/sameness.py`. A list entry is a plain word or a phrase; whoever reads it brings it to the root. Words stand
together only if exchanging them leaves most answers of a support team, a recipe or a manual as they were.
"""

from typing import Final

# fmt: off

SYNONYMS: Final = (
    "skip omit leave | strong considerable much | awake up | kneel knee | repeat again | virus viral | "
    "eye sight | ladle ladleful spoonful | beat whisk mix | reduce dampen weaken slow | surname family last | "
    "signal wave | trip flight stay | probation probationary | refer recommend | bank lender | "
    "borrow loan lend | collection pickup collect | pavement sidewalk kerb curb | "
    "dustbin bin trash garbage waste rubbish | autumn fall | expire lapse void | unsend recall undo | "
    "terrace patio outdoor | arrange order book | interrupt switch stop | meter counter | separate own | "
    "reading value | scatter spread | press click tap hit push choose select pick touch | "
    "enable activate start begin initiate commence | add include register insert append | "
    "change edit modify update amend alter adjust switch | save store keep retain hold | "
    "receive get obtain gain | order book reserve reservation request ask | repair fix mend | "
    "help assist assistance support | print printout | find locate | make create generate produce build | "
    "restart reboot | reset restore | move transfer relocate shift | plug connect link pair | "
    "forbid prohibit ban disallow | "
    "require need necessary required must needed mandatory compulsory obligatory oblige | "
    "travel fly journey trip go flight | drive ride | put place lay insert | stir mix blend combine | "
    "rinse wash clean | rest stand | cover lid | chop cut slice dice | valid good | shut close | "
    "shine light lamp | blink flash | contain hold include comprise | apply hold | accept take | "
    "reject refuse decline deny | cost price fee charge rate expense pay | free gratis complimentary | "
    "email mail e-mail inbox | post mail parcel package shipment packet | shop store branch outlet | box field | "
    "button key | top upper | back rear behind | bag luggage baggage suitcase | ticket fare | "
    "plan tariff package subscription contract | problem issue error trouble fault difficulty | "
    "broken faulty defective damaged damage | connection line | film movie | picture photo image photograph | "
    "video clip | employee staff worker | identity id passport | account profile | "
    "settings preferences options option setting | password passcode | text sms | warranty guarantee | "
    "maximum max most limit | minimum min least | medicine medication drug | pill tablet | dose dosage | "
    "pharmacy chemist | pot pan saucepan | teaspoon tsp | tablespoon tbsp | stove hob | fire heat | "
    "car vehicle | bus coach | flat apartment | socket outlet | voltage volt | device gadget appliance unit | "
    "folder directory | icon symbol | team group | admin administrator | function method | argument parameter | "
    "list array | exam test | grade mark | staircase stairs | lift elevator | car park parking | sum total | "
    "holiday vacation leave | boss manager supervisor | office desk | department team | garden yard | "
    "small little tiny | new fresh | easy simple straightforward | "
    "normal regular ordinary standard usual typical default common | "
    "immediate instant immediately instantly once straight straightaway right | automatic automatically | "
    "manual manually | daily day | weekly week | monthly month | yearly annual annually annum year | "
    "quarterly quarter | inside within in | under below beneath underneath | near close beside next | "
    "extra additional more further another | correct right true accurate | empty blank | separate separately | "
    "unused unworn | sealed unopened | international abroad overseas foreign | permanent permanently forever | "
    "temporary temporarily | soon shortly | late delayed delay | sure certain | similar alike | "
    "different other | wide broad | high tall | gentle gently low | tight firm | wet damp moist | "
    "adult grown-up | colour color | litre liter | metre meter | programme program | cheque check | tyre tire | "
    "press push hold | choose select pick opt decide prefer choice option selection | "
    "open go navigate visit head launch access enter find | open unlock | go travel move walk | "
    "go head proceed | enable activate start allow | start begin commence initiate launch start beginning | "
    "start beginning onset | disable deactivate stop | "
    "cancel terminate end quit discontinue cancellation termination | "
    "end finish stop close conclude complete expire | finish complete done conclude end over | "
    "delete remove erase wipe clear discard drop | remove take detach | remove eliminate | "
    "add include insert append attach put | include contain cover comprise inclusive involve incorporate part | "
    "cover include protect insure | register enrol enroll enrolment enrollment signup registration record | "
    "register subscribe subscription signup | "
    "change edit modify update amend alter adjust adapt adjustment modification | "
    "change switch swap replace exchange | change convert turn transform conversion become | "
    "change shift move postpone reschedule rebook | update upgrade refresh renew | "
    "renew extend prolong renewal extension | set configure define setup adjust | set put place | "
    "confirm verify validate approve confirmation verification | "
    "approve approval consent permission agree agreement authorise authorize authorisation authorization permit | "
    "agree consent accept agreement | accept recognise recognize | save store keep retain preserve | "
    "keep remain stay hold retain | keep have | send submit forward dispatch mail post return | "
    "send email mail | submit file lodge give hand present provide | submit enter | receive accept | "
    "type enter fill input key provide write | buy purchase acquire | buy order get | "
    "order book reserve reservation booking | request ask demand apply application | "
    "ask inquire enquire question | ask check | pay payment settle cost spend | pay transfer | "
    "return back bring send | refund reimburse reimbursement repay repayment money back | refund return credit | "
    "compensate compensation refund reimburse damages | "
    "replace substitute swap exchange replacement substitution instead | replace substitute alternative | "
    "replacement new | help work | contact reach call write message | contact email | "
    "call phone telephone ring dial hotline | call phone telephone mobile number | call name | "
    "show display see view appear shown present | see look view watch | see find | "
    "check inspect review examine look see ensure make verify | check control | attach enclose include | "
    "make let | use utilise utilize apply employ usage | use take | use consume consumption | use need | "
    "need require necessary required must needed mandatory compulsory requirement | need take | must should | "
    "install installation setup | install mount fit | transfer send | copy duplicate clone | "
    "copy photocopy scan | download get load | wait allow give | wait pause | sign login log | "
    "sign signature signed | share split divide | share part portion fraction proportion percentage | "
    "unplug disconnect pull | plug connect insert socket | connect link pair join attach | connect couple | "
    "write note record | write compose | carry bring take have | carry transport | bring take show present | "
    "allow permit let enable may can eligible permitted possible allowed | optional voluntary choice | "
    "try attempt test | try trial test taste | happen occur take | stop halt cease quit | "
    "continue proceed carry | continue keep | give provide supply offer deliver hand grant issue | give yield | "
    "give tell | issue release | explain describe tell | prevent avoid stop | own possess belong have owner | "
    "live reside resident residence home | live stay | leave depart departure go | "
    "arrive arrival reach come get land | reach hit attain | cover close | cook prepare make | boil boiling | "
    "heat warm temperature | heat flame hob | cool chill refrigerate fridge refrigerator cold | freeze freezer | "
    "mix mixture | bake roast | fry saute | drain strain pour | thick thicken | expire lapse end | "
    "expire expiry valid | valid apply | measure dimension size dimensions | size large big | "
    "weigh weight heavy | exceed surpass over above more | last take run go continue | last final | "
    "last latest recent | last previous past preceding | "
    "limit cap restrict restriction maximum restricted limited | limit allowance | light lamp led bulb | "
    "light shine lit | notify inform tell notification alert let know advise | notify announce report | "
    "report tell inform notify | report file | tell say | protect safeguard secure protection | protect guard | "
    "cause lead make bring result reason | cause reason why because | cause trigger | result outcome | "
    "grow increase rise raise climb higher | fall drop decrease decline reduce lower shrink less | "
    "reduce lower cut | rise rising climb | belong part | earn accrue collect gain | earn get | earn income | "
    "deduct debit charge take withdraw subtract | deduct offset | charge bill invoice debit | "
    "charge load recharge battery | qualify entitle eligible entitled right | cost amount | price rate fare | "
    "free available vacant | bill invoice statement | phone mobile telephone cellphone smartphone handset cell | "
    "post mail letter postal | parcel package shipment packet box | package pack packaging | "
    "delivery shipping shipment deliver ship delivered | deliver bring arrive | deliver courier | "
    "shop purchase | box case | tick check mark | app application program | program software | "
    "website site page webpage online internet web | menu list | corner edge | bottom lower foot | side edge | "
    "edge border | bag sack | ticket pass | plan schedule timetable | plan intend | contract agreement policy | "
    "fault error mistake | damage harm | customer client buyer shopper | user customer | "
    "person people somebody someone human anybody anyone individual | child kid children minor | "
    "doctor physician gp | doctor medical | team staff | company firm business enterprise | "
    "form document paper | form application | document paper certificate | certificate note | address location | "
    "password credentials | code pin | message text mail | receipt proof invoice | proof evidence document | "
    "proof certificate | notice cancellation | period term duration time window length interval | period days | "
    "deadline due date latest | time moment | time hour clock | insurance cover coverage policy insure insured | "
    "insurance insurer | claim request demand | claim report | amount sum quantity volume | amount value | "
    "value worth | value figure number | number amount count | deposit down | deposit pay | interest rate | "
    "tax vat duty levy | discount reduction rebate cheaper reduced | appointment visit booking slot | "
    "appointment date | date day | meal food eat | eat food consume | drink beverage | drink sip | recipe dish | "
    "car drive | plane aircraft airplane aeroplane | house home household | stay visit | stay night | "
    "guest visitor | visitor visit | cable cord lead wire | device equipment | device phone computer | "
    "screen display monitor | computer pc laptop | laptop notebook | member membership | row line | "
    "result output | output print | loop iterate iteration | value content | school class | "
    "teacher instructor lecturer | course class lesson training | entrance door gate | garage park | "
    "total overall | salary wage pay paycheck payroll | salary income | holiday day | "
    "office department authority | soil earth ground | earth world planet globe | quick fast rapid swift speed | "
    "quick short | slow slowly | big large great huge | large long | great best | small short | small minor | "
    "new another | new next | old former previous earlier | current present existing today valid | current now | "
    "available offered accessible availability free | available sale | possible able feasible can | "
    "whole entire full complete all | single sole one individual only | alone single only individual | "
    "immediate direct directly | direct straight | usual usually normally generally typically mostly general | "
    "rough roughly about approximately around circa approx approximate | outside out | "
    "next following coming subsequent | next then | extra additional separate | "
    "also too additionally moreover plus | safe secure safety | together jointly joint both | "
    "abroad countries elsewhere | elsewhere anywhere other | worldwide global world | "
    "early beforehand advance before | before prior ahead until | beforehand previously advance before first | "
    "after following once afterwards later then upon | important essential crucial | "
    "enough sufficient adequate suffice | same identical equal equally | equal equality | "
    "different differ difference | other another else | others else | organise organize arrange | "
    "arrange agree book | depend subject vary | depend according | according accordance | "
    "condition provided require requirement met | condition terms | meet fulfil fulfill satisfy met | "
    "succeed successful pass | pass complete finish | pass exceed | pass over | exception except apart besides | "
    "except unless | illness sick ill disease sickness | sick unwell | pain hurt ache | injure injury hurt | "
    "heal recover | treat treatment therapy | cure heal | effect affect impact effective work | act work | "
    "act operate | operate operation run | operation surgery procedure | power electricity current | "
    "power energy | electricity energy | power strength | steal stolen theft | lose lost missing | "
    "lost disappear vanish | crash accident collision | accident damage | police officer | crime offence | "
    "bicycle bike cycle | motorbike motorcycle | train rail railway | station stop | platform track | "
    "street road | road route | town city | city municipality | country nation state | country countries | "
    "border customs | law legal rule | rule regulation policy | vote election ballot | government state | "
    "citizen national | neighbour neighbor | landlord owner | tenant renter | rent lease | lease contract | "
    "repair maintenance | maintain maintenance | worker labour | job work position | work function operate | "
    "work run | hire recruit employ | colleague coworker | salary payslip | bonus reward | reward prize award | "
    "prize win | win beat defeat | beat defeat destroy kill | attack strike hit blow | enemy boss opponent | "
    "player gamer | play game | game match | team club | club association | coach trainer | "
    "train practice exercise | exercise workout | join participate attend take | join enter | "
    "attend come visit | come go | pause suspend break freeze | pause rest | "
    "break interrupt interruption pause | resume continue | reserve hold | hold last | room suite | "
    "room bedroom | room space | space place spot slot | place location spot site | bed sleep | sleep night | "
    "breakfast meal | serve provide | serve available | serve offer | reception desk front | checkout leave | "
    "checkin arrival | wifi wireless wlan network | network internet | network connection | signal reception | "
    "data volume | data information details | information detail details | detail particular | describe name | "
    "name title called | title heading | surname name family | label tag | tag mark | mark sign | "
    "mean stand signify denote represent | meaning sense | state status | status code | server host | "
    "host machine | machine computer | run execute launch | run command | command instruction | "
    "instruction guide | guide manual | terminal shell console | container docker | file document | read load | "
    "write save | path address | address url link | url website | object item | "
    "item product article good goods | item thing piece | piece part item | piece unit | element item | "
    "item entry | entry admission | record entry row | table chart | key password | count total | "
    "order sequence | reverse backwards opposite invert | opposite contrary reverse | original initial | "
    "original source | source origin | initial first | commit save | undo revert | merge combine | "
    "stage prepare | latest newest recent | type kind | kind sort | type form | compare comparison | "
    "strict exact | exact precise | loose lenient | quote quotation | exception error | error bug | "
    "resource file | resource object | client browser | browser firefox | request query | query search | "
    "search find look | reply response answer respond | page sheet | follow track | follow obey | follow next | "
    "log record | log history | sun solar sunlight | moon lunar | orbit circle round | round circular | "
    "tilt lean incline inclination | axis tilt | hemisphere half | star sun | space universe | distance far | "
    "far distant | near nearby | plant vegetation | plant seed | animal creature | animal pet | pet dog | "
    "dog hound | leash lead | cat kitten | air atmosphere | oxygen air | gas air | carbon co2 | absorb take | "
    "release emit give let | emit produce | water liquid | liquid fluid | solid hard | freeze ice | ice frozen | "
    "boil evaporate | evaporate vapour vapor steam | temperature degrees | sea ocean | lake water | "
    "river stream | mountain peak | height altitude level | depth deep | surface top | area region zone | "
    "region district | forest wood | tree wood | bacteria bacterial | infection illness disease | "
    "infect infection | antibiotic medicine | vaccine vaccination jab shot | immune immunity | blood vein | "
    "heart cardiac | brain mind | muscle strength | bone skeleton | skin surface | ear hearing | "
    "tooth teeth dental | dentist dental | price cost inflation | expensive dear costly pricey | "
    "cheap inexpensive affordable low | money cash | money fund funds | fund finance | loan credit | "
    "loan mortgage | loan debt | debt owe | save saving savings | saving deposit | invest investment | "
    "investor shareholder | share stock | stock inventory | economy economic | consumer customer | "
    "household family | family relatives | parent mother father | mother mum mom | father dad | "
    "baby newborn infant | birth born | marry marriage wedding | death die dead | die pass | age old | "
    "old aged | adult grown | man male | woman female | history past | war conflict | king monarch | "
    "queen monarch | president leader | leader head | found establish founded | invent invention | "
    "discover find discovery discoverer | scientist researcher | research study | study learn | learn discover | "
    "university college | student pupil | degree qualification | qualification certificate | library book | "
    "overdue late | fine penalty | penalty fee | hold reservation | copy version | version edition | "
    "edition issue | publish release | author writer | write written author | novel book | story tale | "
    "music song | song track | instrument tool | paint painting | artist painter | museum gallery | "
    "exhibition show | show performance | ticket admission | seat place | queue line | concert event | "
    "event occasion | festival event | phase step stage | step action measure | method way approach | "
    "way manner | way route path | process procedure | procedure steps | result effect | purpose aim goal | "
    "goal aim target | reason purpose | advantage benefit pro | disadvantage drawback con | risk danger | "
    "danger hazard | dangerous hazardous unsafe risky | warn warning caution | careful caution | caution care | "
    "attention notice | notice note | note mind | mind remember | remember forget | forget lose | "
    "forgotten lost | know aware | understand grasp | think believe | believe assume | idea concept | "
    "concept notion | suggest recommend advise propose | recommend advisable best | advice tip | tip hint | "
    "example instance | instance case | case situation | situation circumstance circumstances | "
    "circumstance condition | fact truth | truth reality | real actual | actual true | sure definite | "
    "guarantee ensure | promise guarantee | promise commit | responsible liable charge | liable liability | "
    "duty obligation | oblige obligation required | right claim | right entitlement | legal lawful | "
    "illegal unlawful | court judge | lawyer attorney | witness observer | seal close | cap lid | lid top | "
    "bottle flask | glass cup | cup mug | plate dish | bowl dish | spoon tablespoon | knife blade | oil fat | "
    "fat grease | butter margarine | sugar sweetener | salt salty | pepper spice | spice seasoning | "
    "season spice | flour powder | powder dust | dough batter | bread loaf | cake pastry | cookie biscuit | "
    "meat flesh | chicken poultry | beef cow | pork pig | fish seafood | vegetable veg veggie | fruit berry | "
    "onion shallot | garlic clove | potato spud | tomato sauce | rice grain | grain cereal | pasta noodle | "
    "cheese dairy | milk dairy | egg yolk | taste flavour flavor | smell odour odor scent | soft tender | "
    "hard firm | crisp crispy crunchy | brown golden | ripe mature | raw uncooked | fresh raw | stale old | "
    "rotten spoiled bad | spoil bad | keep last | shelf cupboard | cupboard cabinet | drawer compartment | "
    "container jar tub | airtight sealed | seal airtight | wrap cover foil | paper sheet | towel cloth | "
    "cloth fabric | fabric textile material | material substance | substance chemical | chemical compound | "
    "metal iron | iron steel | wood wooden | plastic polymer | rubber elastic | leather hide | cotton fabric | "
    "wool fleece | wash launder laundry | laundry washing | dry drying | iron press | stain spot | dirt dirty | "
    "dust dirt | clean tidy | tidy neat | brush sweep | vacuum hoover | soap detergent | bleach whiten | "
    "white bleach | hot warm | warm heated | radiator heater heating | boiler heating | thermostat temperature | "
    "window pane | wall side | roof top | floor storey level | ceiling roof | kitchen cook | bathroom bath | "
    "toilet restroom lavatory loo | shower bath | tap faucet | pipe tube | leak drip | drip drop | valve tap | "
    "pump pressure | pressure force | force strength | motor engine | wheel tyre | brake stop | "
    "gear transmission | oil lubricant | fuel petrol gas gasoline | battery cell | charger adapter | "
    "adapter converter plug | converter transformer | fuse breaker | breaker switch | switch button | "
    "switch toggle turn | turn rotate twist | rotate spin | spin turn | screw bolt | nail pin | hammer hit | "
    "drill hole | hole opening | opening gap | gap space | break broken crack | tear rip | cut slit | "
    "glue stick adhesive | stick paste | tape strip | strip band | rope cord string | string thread | knot tie | "
    "tie bind | loosen release | tighten fasten | fasten attach | fix fasten | lift raise | pull draw | "
    "drag pull | slide move | roll turn | fold bend | bend curve | flat level | level even | even equal | "
    "smooth even | rough coarse | thin fine | thick dense | narrow thin | shallow low | full filled | "
    "fill full | half middle | middle centre center | outer external | external outside | inner internal | "
    "internal inside | public open | private personal | personal own | secret hidden | hidden invisible | "
    "visible seen | clear obvious | unclear vague | visible show | quiet silent | silent mute | mute silence | "
    "loud noise | noise sound | sound audio | volume loudness | voice speech | speech talk | talk speak | "
    "language tongue | translate translation | word term | sentence phrase | question query | "
    "meeting appointment conference | meeting meet | meet gather | collect pick gather | collect receive | "
    "distribute spread | share distribute | divide divisible division | multiply times | subtract minus deduct | "
    "add plus | sum add | average mean | quarter fourth | double twice | triple thrice | several multiple many | "
    "few some | rare seldom | seldom rarely | often frequently | frequent often | always constantly | "
    "constant steady | steady stable | stable constant | never ever | sometimes occasionally | "
    "occasional sometimes | daily everyday | morning am | afternoon pm | evening night | night overnight | "
    "noon midday | today now | tomorrow next | yesterday previous | century hundred | decade ten | "
    "moment instant | length long | long lengthy | brief short | late later | early premature | due payable | "
    "due owing | overdraft overdraw overdrawn | withdraw withdrawal cash | statement account | balance account | "
    "balance remainder | remainder rest remaining left | unused remaining | transaction payment | "
    "payment transfer | recipient payee beneficiary | sender payer | branch office | counter desk | "
    "machine atm | cashpoint atm | atm cash | currency money | exchange convert | rate percentage | "
    "percentage percent | surcharge extra | fee commission | fine ticket | sanction penalty | tip gratuity | "
    "donate donation gift | gift present | voucher coupon | code voucher | promo promotion | promotion offer | "
    "offer deal | sale reduced | bargain deal | retailer shop seller dealer | seller vendor | vendor supplier | "
    "supplier provider | provider operator | operator carrier | carrier airline | courier carrier | "
    "courier messenger | driver chauffeur | pilot captain | crew staff | staff personnel | "
    "passenger traveller traveler | traveller visitor | tourist visitor | hotel accommodation | "
    "accommodation lodging | hostel accommodation | camp camping | tent camp | beach shore | shore coast | "
    "island isle | harbour port harbor | ship boat | ferry boat | cruise trip | tour trip | excursion trip | "
    "map plan | direction way | direct guide | compass direction | north northern | south southern | "
    "east eastern | west western | foreigner alien | passport document | visa permit | "
    "permit licence license permission | forbid refuse | grant allow | exempt free | exemption exempt | "
    "exempt except | pension retirement | retire retirement | retired pensioner | pensioner senior | "
    "senior elderly | elderly old | disabled handicapped | wheelchair disabled | aid help | emergency urgent | "
    "ambulance emergency | hospital clinic | ward station | nurse carer | patient ill | surgeon doctor | "
    "anaesthetic anaesthesia anesthesia | anaesthesia narcosis | fast fasting | fasting empty | stomach belly | "
    "allergy allergic | symptom sign | fever temperature | cough cold | cold flu | flu influenza | "
    "headache pain | bleed blood | wound injury | bandage plaster | ointment cream | cream lotion | "
    "swallow take | chew bite | diet nutrition | nutrition food | vitamin supplement | supplement addition | "
    "weight kilo | slim thin | sport exercise | swim swimming | run jog | walk stroll | walk foot | hike walk | "
    "climb ascend | ascend rise | descend fall | jump leap | throw cast | catch grab | grab take | dodge avoid | "
    "shield block | lock block | unblock release | spam junk | filter sort | archive store | backup copy | "
    "backup save | restore recover | recover recovery | "
    "sync synchronise synchronize synchronisation synchronization | upload send | attach upload | "
    "attachment file | format type | export save | import load | share send | invite invitation | leave exit | "
    "exit quit | minimise shrink | maximise enlarge | enlarge bigger | zoom enlarge | scroll move | "
    "swipe slide | drag move | drop release | paste insert | highlight mark | bold thick | font typeface | "
    "style design | design look | layout arrangement | theme design appearance | appearance look | "
    "mode setting | mode state | dark night | bright light | brightness light | contrast difference | "
    "colour shade | shade shadow | background wallpaper | desktop screen | window screen | tab page | "
    "bar strip | toolbar bar | sidebar panel | panel section | section part | section area | chapter section | "
    "paragraph section | footer bottom | header top | widget tool | plugin addon extension | feature function | "
    "property attribute | parameter setting | variable value | constant fixed | fix set | flag option | "
    "argument option | class type | module package | library module | import include | return yield | "
    "call invoke | raise throw | catch handle | handle process | handle treat | deal handle | manage handle | "
    "manage administer | administration management | control manage | monitor watch | watch observe | "
    "observe see | alarm alert | alert warning | bell ring | signal sign | sensor detector | detect sense | "
    "detect discover | recognise detect | identify recognise | identify identity | identity identification | "
    "identification id | fingerprint touch | face facial | authenticate verify | token code | "
    "certificate diploma | encrypt encode | decode decrypt | "
    "eur euro | gbp pound sterling | usd dollar | eu europe european | uk british britain | usa american | "
    "money fund cash sum | merchant shop seller store retailer trader vendor | rent hire rental lease | "
    "firm company agency business | try retry repeat again attempt | only just merely solely sole | "
    "top-up topup load credit deposit | accept support work | section area page menu tab screen | "
    "wait allow count reckon | usable work active valid | prove proof verify confirm | "
    "wrong incorrect false mistaken | "
    "notify inform message tell write | locate find see | mistake error wrong | happen occur arise | "
    "nation country | firm company | inhabitant resident live | under-18 minor child | parent guardian mother father | "
    "instruct tell | desk counter | worldwide everywhere global | refundable refund | print printed | "
    "reason why cause ground | void invalid cancel | dispatch send post ship mail | substitute replacement new | "
    "lock freeze block suspend | unlock unfreeze unblock | steal stolen thief | beneficiary recipient payee | "
    "incoming arrive receive | outgoing send | retry again | resend again | instant immediate second | "
    "figure amount number | overview list summary | recent latest current | original first initial | "
    "credit add book | reverse return revert undo refund | decline refuse reject fail | fail unsuccessful | "
    "succeed work | blocked lock | details data information | data information | personal own private"
).split(" | ")
"""Words whose exchange leaves an answer as it was. A word in two groups takes the first."""

PHRASES: Final = {
    # short forms
    "can't": "cannot", "can not": "cannot", "don't": "do not", "doesn't": "does not", "didn't": "did not",
    "isn't": "is not",
    "aren't": "are not", "wasn't": "was not", "weren't": "were not", "won't": "will not", "wouldn't": "would not",
    "hasn't": "has not", "haven't": "have not", "hadn't": "had not", "couldn't": "could not", "shouldn't": "should not",
    "mustn't": "must not", "you're": "you are", "we're": "we are", "they're": "they are", "i'm": "i am",
    "it's": "it is",
    "that's": "that is", "there's": "there is", "here's": "here is", "what's": "what is", "you'll": "you will",
    "we'll": "we will", "it'll": "it will", "they'll": "they will", "i'll": "i will", "you've": "you have",
    "we've": "we have", "they've": "they have", "i've": "i have", "you'd": "you would", "we'd": "we would",
    "let's": "let us",
    # price
    "comes to": "costs", "come to": "cost", "amounts to": "costs", "amount to": "cost",
    "free of charge": "free", "free of cost": "free", "at no charge": "free", "at no cost": "free",
    "no charge": "free", "no cost": "free", "no fee": "free", "no fees": "free", "no extra charge": "free",
    "no extra cost": "free", "no additional cost": "free", "without charge": "free", "without extra charge": "free",
    "without cost": "free", "without any charge": "free", "without any cost": "free", "without paying": "free",
    "without a fee": "free", "without fee": "free", "costs nothing": "free", "cost nothing": "free",
    "costs you nothing": "free", "pay nothing": "free", "nothing to pay": "free", "not charged": "free",
    "isn't charged": "free", "not pay anything": "free", "don't pay anything": "free", "doesn't cost anything": "free",
    "not cost anything": "free", "don't charge": "free", "do not charge": "free", "don't have to pay": "free",
    "free shipping": "free shipping", "for free": "free",
    "is not charged": "free", "do not pay anything": "free", "does not cost anything": "free",
    "do not have to pay": "free", "is not required": "optional", "is not necessary": "optional",
    "are not required": "optional", "is not needed": "optional", "are not needed": "optional",
    # bounds
    "at least": "minimum", "no less than": "minimum", "not less than": "minimum", "no fewer than": "minimum",
    "or more": "minimum", "or longer": "minimum", "or older": "minimum", "or earlier": "minimum", "or above": "minimum",
    "more than": "above", "longer than": "above", "greater than": "above", "older than": "above",
    "at most": "maximum", "up to": "maximum", "no more than": "maximum", "not more than": "maximum",
    "no longer than": "maximum", "no later than": "latest", "not later than": "latest", "at the latest": "latest",
    "or less": "maximum", "or fewer": "maximum", "or younger": "maximum", "no older than": "maximum",
    "not exceed": "maximum", "not exceeding": "maximum", "without exceeding": "maximum",
    "must not exceed": "maximum", "less than": "beneath", "fewer than": "beneath", "younger than": "beneath",
    "no earlier than": "earliest", "not earlier than": "earliest", "at the earliest": "earliest",
    "not before": "earliest", "on top of": "above",
    # necessity
    "have to": "must", "has to": "must", "having to": "must", "had to": "must", "need to": "must", "needs to": "must",
    "do not have to": "optional", "don't have to": "optional", "does not have to": "optional",
    "doesn't have to": "optional", "don't need": "optional", "do not need": "optional", "doesn't need": "optional",
    "does not need": "optional", "need not": "optional", "needn't": "optional", "no need": "optional",
    "not required": "optional", "not necessary": "optional", "isn't required": "optional", "not needed": "optional",
    "isn't necessary": "optional", "not mandatory": "optional", "aren't required": "optional",
    "no obligation": "optional",
    "not obliged": "optional", "isn't needed": "optional", "aren't needed": "optional",
    "able to": "can", "possible to": "can", "allowed to": "can", "permitted to": "can", "entitled to": "can",
    "free to": "can", "eligible to": "can", "welcome to": "can",
    # conditions
    "as long as": "if", "provided that": "if", "on condition": "if", "on the condition": "if", "so long as": "if",
    "in case": "if", "only if": "only if", "only when": "only if", "only for": "only", "even if": "even",
    "not only": "also",
    "not just": "also", "as well": "also", "in addition": "also", "apart from": "except", "other than": "except",
    "with the exception of": "except", "except for": "except", "aside from": "except", "no matter": "always",
    "in every case": "always", "at any time": "always", "at all times": "always", "any time": "always",
    "regardless of": "always", "instead of": "instead", "rather than": "instead", "in place of": "instead",
    "stays the same": "not change", "stay the same": "not change", "remains the same": "not change",
    "remain the same": "not change", "cost none": "free", "fee none": "free", "charge none": "free",
    "no longer": "not", "any more": "", "any longer": "", "stop working": "not work", "stops working": "not work",
    "stopped working": "not work", "keep working": "work", "keeps working": "work", "continue to": "",
    "continues to": "",
    # time and order
    "as soon as": "after", "right away": "immediately", "straight away": "immediately", "at once": "immediately",
    "without delay": "immediately", "in advance": "before", "ahead of": "before", "prior to": "before",
    "earlier than": "before", "later than": "after", "first of all": "", "after that": "", "at first": "",
    "once a day": "daily", "once a week": "weekly", "once a month": "monthly", "once a year": "yearly",
    "once per day": "daily", "once per week": "weekly", "once per month": "monthly", "once per year": "yearly",
    "once a quarter": "quarterly", "once every quarter": "quarterly", "month to month": "monthly",
    "day to day": "daily", "per annum": "yearly", "p.a": "yearly", "round the clock": "nonstop",
    "around the clock": "nonstop", "day and night": "nonstop",
    "monday friday": "weekday", "chief executive officer": "ceo",
    "chief executive": "ceo",
    "carbon dioxide": "co2", "european union": "eu", "united states": "usa", "united kingdom": "uk",
    "great britain": "uk", "the us": "usa", "american express": "amex",
    "pound sterling": "gbp", "pounds sterling": "gbp",
    "british pounds": "gbp", "british pound": "gbp", "us dollars": "usd", "us dollar": "usd",
    "monday to friday": "weekday", "monday through friday": "weekday", "mon to fri": "weekday", "mon fri": "weekday",
    "monday till friday": "weekday", "monday and friday": "monday and friday", "saturday and sunday": "weekend",
    "saturdays and sundays": "weekend", "working week": "weekday", "business week": "weekday",
    "seven days a week": "daily", "7 days a week": "daily", "any day of the week": "daily", "day of the week": "day",
    # acts
    "turn on": "enable", "turns on": "enable", "turned on": "enable", "turning on": "enable", "switch on": "enable",
    "switched on": "enable", "switching on": "enable", "turn off": "disable", "turned off": "disable",
    "turning off": "disable", "switch off": "disable", "switched off": "disable", "switching off": "disable",
    "shut down": "disable", "set up": "setup", "setting up": "setup", "sign up": "signup", "signing up": "signup",
    "sign in": "login", "signing in": "login", "signed in": "login", "log in": "login", "logging in": "login",
    "logged in": "login", "log into": "login", "sign into": "login", "log on": "login", "sign out": "logout",
    "log out": "logout", "signed out": "logout", "logged out": "logout", "log off": "logout", "opt out": "optout",
    "opt in": "optin", "get in touch": "contact", "find out": "check", "fill in": "fill", "fill out": "fill",
    "look up": "check", "carry on": "continue", "get rid of": "delete", "take off": "departure",
    "takes off": "departure",
    "send back": "return", "sent back": "return", "sending back": "return", "give back": "return",
    "bring back": "return",
    "pay back": "refund", "paid back": "refund", "money back": "refund", "get back": "refund", "gets back": "refund",
    "pick up": "collect", "picked up": "collect", "picking up": "collect", "put off": "postpone", "made up": "consist",
    "made of": "consist", "hand in": "submit", "handed in": "submit", "send in": "submit", "sent in": "submit",
    "take along": "bring", "drop off": "dropoff", "run out": "expire", "runs out": "expire", "used up": "empty",
    "turn up": "increase", "turned up": "increase", "turn down": "decrease", "turned down": "decrease",
    "turn the heat down": "low heat", "turn the heat up": "high heat", "bring to the boil": "boil",
    "bring to a boil": "boil", "boil up": "boil", "boiled up": "boil", "comes to the boil": "boil",
    "ahead of time": "before", "charged with": "charge", "free up": "clear", "back up": "backup", "backed up": "backup",
    "part of": "include", "leave out": "exclude", "left out": "exclude",
    # things
    "e mail": "email", "wi fi": "wifi", "sign in page": "login page", "hand luggage": "cabin bag",
    "hand baggage": "cabin bag", "carry on bag": "cabin bag", "working day": "workday", "working days": "workday",
    "business day": "workday", "business days": "workday", "calendar day": "day", "calendar days": "days",
    "first thousand": "first one thousand", "first hundred": "first one hundred",
    "debit cards": "debitcard", "credit cards": "creditcard", "bank cards": "bankcard", "gift cards": "giftcard",
    "bank transfers": "banktransfer", "direct debits": "directdebit", "swiss franc": "chf", "swiss francs": "chf",
    "debit card": "debitcard", "credit card": "creditcard", "bank card": "bankcard", "gift card": "giftcard",
    "bank transfer": "banktransfer", "direct debit": "directdebit", "user name": "username", "pass word": "password",
    "text message": "sms", "text messages": "sms", "web site": "website", "web page": "website",
    "home page": "homepage",
    "phone number": "phone number", "two factor": "2fa", "two step": "2fa", "2 factor": "2fa", "2 step": "2fa",
    "per cent": "percent", "one way": "each way", "per direction": "each way", "each direction": "each way",
    "per way": "each way", "both ways": "round trip", "there and back": "round trip",
    "non refundable": "not refundable",
    "non smoking": "not smoking", "such as": "", "for example": "", "for instance": "", "in order to": "to",
    "so that": "", "of course": "", "due to": "because", "because of": "because", "thanks to": "because",
    "a lot of": "many", "lots of": "many", "a few": "some", "a number of": "some", "a couple of": "some",
    "each of": "all", "every one of": "all", "both of": "both", "in total": "total", "all in all": "total",
    "on average": "average", "by default": "default", "by hand": "manually", "on your own": "yourself",
    "in person": "personally", "in writing": "written", "by post": "by letter", "by mail": "by letter",
    "on request": "request", "on demand": "request", "make sure": "check", "keep in mind": "", "please note": "",
    "note that": "", "bear in mind": "", "be aware": "", "short answer": "", "in short": "",
}
"""Several words that act as one. The longest that fits is taken; `` drops it."""

LITTLE: Final = (
    "a an the i you we he she it its they them this that these those there here is are was were be been being am do"
    " does did"
    " would should will shall could has had have having how what when where which who whom whose why of for to on at by"
    " with from about as and or but so than then thus therefore hence my our your their his her me us mine yours ours"
    " please just some any such own other others else since while whether"
    " into onto via per too very s d m ve re ll t up down out off over again rather yes no not"
    " way now next finally lastly afterwards first firstly secondly thirdly simply quite really actually already"
    " even still yet both either that's it's you're you'll you've we'll we're we've i'll i'm i've there's here's what's"
    " let's let ok okay well hi hello thing things one ones everything something anything lot kind sort"
    " following once done also like means mean case respectively namely eg ie etc e g n"
    " happy glad sorry thank thanks welcome unfortunately fortunately luckily afraid enjoy hope sure certainly"
    " absolutely"
    " answer question note info information"
    " because due whereas otherwise whichever whoever whatever nobody nothing expect probably going him main mains"
    " ready"
    " important necessary remember remain forget wish wishes best quick usual indeed course actual though although"
    " however"
    " instance therefore hence thus meanwhile cannot"
)
"""Words without weight, whether two answers share them or not."""

LIGHT: Final = (
    "press open go get take make use want need give put set come keep let do see find want work show look become"
    " receive reach contain apply can must may might able possible require allow choose type enter follow step"
    " option available directly immediately easy exactly about usually separately together always all each every"
    " many much more most several various certain long short good new"
    " send bring start end finish have hold contact help time period page website app site menu button screen account"
    " settings mode amount sum price pay tap select click pick head navigate visit section list"
    " worry happen know like say tell yourself itself themselves instead simply moment try"
    " if while during until within between inside in out through along"
    " before after under above back per day month year week"
    " person customer user people"
)
"""Words that a rewording often exchanges or leaves out."""

OPPOSITES: Final = (
    ("include contain", "exclude"),
    ("dark", "light bright"),
    ("hot", "cold"),
    ("top upper", "bottom lower"),
    ("front", "rear behind"),
    ("cover lid", "uncovered"),
    ("low", "high"),
    ("dry", "wet damp moist"),
    ("soft", "hard"),
    ("raw", "cooked"),
    ("sweet", "salty sour"),
    ("fast quick", "slow"),
    ("easy", "difficult"),
    ("increase raise", "decrease decline reduce"),
    ("earliest", "latest"),
    ("morning", "evening"),
    ("import upload", "export download"),
    ("login signup", "logout"),
    ("public", "private"),
    ("lock block", "unlock unblock"),
    ("enable activate", "disable deactivate"),
    ("install", "uninstall"),
    ("add insert", "delete remove erase"),
    ("free", "surcharge"),
    ("automatic automatically", "manual manually"),
    ("temporary temporarily", "permanent permanently"),
    ("domestic", "international abroad foreign overseas"),
    ("full", "empty"),
    ("show display visible", "hide hidden invisible"),
    ("win", "lose"),
    ("ascending", "descending"),
    ("horizontal horizontally", "vertical vertically"),
    ("clockwise", "counterclockwise anticlockwise"),
    ("tenant", "landlord"),
    ("employer", "employee"),
    ("fixed", "variable flexible"),
    ("gross", "net"),
    ("male", "female"),
    ("north northern", "south southern"), ("east eastern", "west western"),
    ("plus", "minus"),
    ("true", "false"),
    ("even", "odd"),
    ("ripe", "unripe"),
    ("freeze", "thaw thawed"),
    ("deposit", "withdraw withdrawal"),
    ("largest biggest highest longest most", "smallest lowest shortest least"),
    ("positive", "negative"),
    ("early earlier", "late later"),
    ("accept approve", "reject refuse decline"), ("correct", "wrong"), ("buy purchase", "sell"), ("lend", "borrow"),
    ("incoming inbound", "outgoing outbound"), ("succeed success", "fail failure"), ("connect", "disconnect"),
    ("plug", "unplug"), ("attach", "detach"), ("debit", "credit"), ("sender payer", "recipient payee"),
    ("buyer", "seller"), ("lender", "borrower"), ("guest", "host"), ("teacher", "student"), ("parent", "child"),
    ("profit gain", "loss"), ("strong", "weak"), ("thick", "thin"), ("wide", "narrow"), ("cheap", "expensive dear"),
    ("safe", "dangerous"), ("clean", "dirty"), ("arrival", "departure"), ("together jointly", "separately"),
    ("original", "copy copied"), ("inner", "outer"), ("keep continue", "stop cease"), ("summer", "winter"),
    ("warm lukewarm", "cold"), ("upgrade", "downgrade"), ("subscribe", "unsubscribe"), ("winner", "loser"),
    ("longer", "shorter"), ("higher", "lower"), ("larger bigger", "smaller"), ("beginning", "end"), ("open", "close"),
    ("original", "replacement"), ("mandatory", "voluntary"), ("rise", "fall"), ("confirm", "cancel"),
)
"""Where one answer says only the left and the other only the right, they say different things."""

ALTERNATIVES: Final = (
    "android iphone/ios/ipad windows mac/macos/macbook linux chromebook",
    "paypal visa mastercard amex/americanexpress klarna sepa/directdebit bitcoin/crypto cheque cash giftcard/voucher"
    " banktransfer googlepay applepay creditcard debitcard",
    "chrome firefox safari edge opera",
    "email sms/text phone/call/telephone letter/paper chat whatsapp fax",
    "monday tuesday wednesday thursday friday saturday sunday weekday weekend",
    "january february march april june july august september october november december",
    "spring summer autumn/fall winter",
    "germany/german france/french spain/spanish italy/italian uk/britain/england/british usa/america/american"
    " canada/canadian austria/austrian switzerland/swiss poland/polish netherlands/dutch portugal/portuguese"
    " japan/japanese"
    " china/chinese india/indian brazil australia mexico turkey/turkish greece/greek sweden/swedish norway denmark"
    " thailand",
    "alexa siri/homekit",
    "basic standard premium pro lite essential ultimate gold silver bronze platinum",
    "student senior/pensioner adult child/kid teacher",
    "red orange green blue yellow white purple black brown grey/gray pink",
    "mp3 mp4 pdf csv excel/xlsx json xml docx png jpg/jpeg zip",
    "breakfast lunch dinner/supper brunch",
    "north/northern south/southern east/eastern west/western",
    "train bus/coach tram ferry plane/flight taxi/cab bicycle/bike car metro/subway",
    "dog cat horse rabbit bird fish",
    "butter oil margarine lard",
    "rice pasta potato quinoa couscous",
    "beef pork chicken lamb turkey",
    "hard soft medium",
    "heart lung liver kidney brain stomach",
    "oxygen nitrogen hydrogen carbon helium",
    "gas oil electricity water coal",
    "username password pin fingerprint",
    "bachelor master doctorate/phd",
    "pacific atlantic arctic",
    "morning afternoon evening/night noon",
)
"""Things of one kind: an answer that names one says another thing than one that names another."""

PEOPLE: Final = (
    "admin administrator landlord tenant doctor physician nurse pharmacist parent child partner spouse employer"
    " employee"
    " manager supervisor boss colleague teacher student seller buyer merchant recipient guest host driver passenger"
    " neighbour courier carrier bank insurer insurance airline hotel agency guardian lawyer notary accountant friend"
    " technician engineer operator provider supplier manufacturer organiser member adult senior patient team"
    " police embassy consulate university school authority council city crew captain agent vet"
)
"""Who does something: named in one answer only, somebody else may have to act."""

IRREGULAR: Final = {
    form: verb
    for verb, forms in (
        pair.split(":")
        for pair in (
            "send:sent|keep:kept|buy:bought|pay:paid|make:made|take:taken took|give:given"
            " gave|hold:held|leave:left|lose:lost"
            "|tell:told|write:written wrote|find:found|choose:chosen chose|begin:begun began|get:got gotten|go:gone"
            " went"
            "|come:came|say:said|see:seen saw|know:known"
            " knew|think:thought|bring:brought|stand:stood|run:ran|rise:risen rose"
            "|fall:fallen fell|grow:grown grew|fly:flown flew flight|drive:driven drove|break:broken"
            " broke|steal:stolen stole"
            "|speak:spoken"
            " spoke|meet:met|mean:meant|spend:spent|build:built|lend:lent|sell:sold|shoot:shot|fight:fought"
            "|teach:taught|catch:caught|feel:felt|eat:eaten ate|drink:drunk drank|freeze:frozen froze|draw:drawn drew"
            "|throw:thrown threw|show:shown|bear:born|win:won|withdraw:withdrawn withdrew|forget:forgotten forgot"
            "|understand:understood|become:became|hide:hidden hid|bind:bound|wear:worn wore|do:done|child:children kids"
            "|foot:feet|tooth:teeth|person:people|man:men|woman:women|half:halves|life:lives|shelf:shelves"
            "|is:was were|lie:lay lain|lead:led|feed:fed|hear:heard|read:reads|sit:sat|sleep:slept|swim:swam"
            " swum|light:lit"
            "|good:better best|bad:worse worst|far:farther further farthest|die:died dying|tie:tied|use:using used uses"
        ).split("|")
    )
    for form in forms.split()
}
"""Forms that no rule finds -> the word."""

UNITS: Final = {
    "second": (1 / 60, "minute"), "seconds": (1 / 60, "minute"), "sec": (1 / 60, "minute"), "secs": (1 / 60, "minute"),
    "s": (1 / 60, "minute"), "minute": (1, "minute"), "minutes": (1, "minute"), "min": (1, "minute"),
    "mins": (1, "minute"),
    "hour": (60, "minute"), "hours": (60, "minute"), "hr": (60, "minute"), "hrs": (60, "minute"), "h": (60, "minute"),
    "day": (1440, "minute"), "days": (1440, "minute"), "night": (1, "night"), "nights": (1, "night"),
    "week": (10080, "minute"), "weeks": (10080, "minute"), "wk": (10080, "minute"), "wks": (10080, "minute"),
    "fortnight": (20160, "minute"), "fortnights": (20160, "minute"), "weekend": (1, "weekend"),
    "weekends": (1, "weekend"),
    "workday": (1, "workday"), "workdays": (1, "workday"), "weekday": (1, "workday"), "weekdays": (1, "workday"),
    "month": (1, "month"), "months": (1, "month"), "mth": (1, "month"), "quarter": (3, "month"),
    "quarters": (3, "month"),
    "year": (12, "month"), "years": (12, "month"), "yr": (12, "month"), "yrs": (12, "month"),
    "decade": (120, "month"), "decades": (120, "month"), "century": (1200, "month"), "centuries": (1200, "month"),
    "ms": (1 / 60000, "minute"), "millisecond": (1 / 60000, "minute"), "milliseconds": (1 / 60000, "minute"),
    "€": (1, "eur"), "eur": (1, "eur"), "euro": (1, "eur"), "euros": (1, "eur"), "cent": (0.01, "eur"),
    "cents": (0.01, "eur"), "ct": (0.01, "eur"), "kilowatt": (1000, "watt"), "$": (1, "usd"), "usd": (1, "usd"),
    "dollar": (1, "usd"), "dollars": (1, "usd"),
    "£": (1, "gbp"), "gbp": (1, "gbp"), "pence": (0.01, "gbp"), "quid": (1, "gbp"), "chf": (1, "chf"),
    "franc": (1, "chf"),
    "francs": (1, "chf"), "¥": (1, "jpy"), "jpy": (1, "jpy"), "yen": (1, "jpy"),
    "%": (1, "%"), "percent": (1, "%"), "pct": (1, "%"), "percentage": (1, "%"), "‰": (0.1, "%"),
    "byte": (1e-6, "mb"), "bytes": (1e-6, "mb"), "kb": (1e-3, "mb"), "kilobyte": (1e-3, "mb"),
    "kilobytes": (1e-3, "mb"),
    "mb": (1, "mb"), "megabyte": (1, "mb"), "megabytes": (1, "mb"), "gb": (1000, "mb"), "gigabyte": (1000, "mb"),
    "gigabytes": (1000, "mb"), "tb": (1e6, "mb"), "terabyte": (1e6, "mb"), "terabytes": (1e6, "mb"),
    "mbps": (1, "mbps"), "mbit": (1, "mbps"), "megabit": (1, "mbps"), "megabits": (1, "mbps"), "gbps": (1000, "mbps"),
    "gbit": (1000, "mbps"), "gigabit": (1000, "mbps"), "gigabits": (1000, "mbps"),
    "mm": (0.001, "metre"), "millimetre": (0.001, "metre"), "millimetres": (0.001, "metre"),
    "millimeter": (0.001, "metre"), "millimeters": (0.001, "metre"), "cm": (0.01, "metre"),
    "centimetre": (0.01, "metre"), "centimetres": (0.01, "metre"), "centimeter": (0.01, "metre"),
    "centimeters": (0.01, "metre"), "m": (1, "metre"), "metre": (1, "metre"), "metres": (1, "metre"),
    "meter": (1, "metre"), "meters": (1, "metre"), "km": (1000, "metre"), "kilometre": (1000, "metre"),
    "kilometres": (1000, "metre"), "kilometer": (1000, "metre"), "kilometers": (1000, "metre"), "kms": (1000, "metre"),
    "mile": (1, "mile"), "miles": (1, "mile"), "mi": (1, "mile"), "inch": (1, "inch"), "inches": (1, "inch"),
    "foot": (1, "foot"), "feet": (1, "foot"), "ft": (1, "foot"), "yard": (1, "yard"), "yards": (1, "yard"),
    "mg": (0.001, "gram"), "milligram": (0.001, "gram"), "milligrams": (0.001, "gram"), "g": (1, "gram"),
    "gram": (1, "gram"), "grams": (1, "gram"), "gramme": (1, "gram"), "grammes": (1, "gram"), "kg": (1000, "gram"),
    "kgs": (1000, "gram"), "kilo": (1000, "gram"), "kilos": (1000, "gram"), "kilogram": (1000, "gram"),
    "kilograms": (1000, "gram"), "tonne": (1e6, "gram"), "tonnes": (1e6, "gram"), "lb": (1, "lb"), "lbs": (1, "lb"),
    "oz": (1, "oz"), "ounce": (1, "oz"), "ounces": (1, "oz"), "pound": (1, "pound"), "pounds": (1, "pound"),
    "ml": (1, "ml"), "millilitre": (1, "ml"), "millilitres": (1, "ml"), "milliliter": (1, "ml"),
    "milliliters": (1, "ml"),
    "cl": (10, "ml"), "centilitre": (10, "ml"), "centilitres": (10, "ml"), "dl": (100, "ml"), "l": (1000, "ml"),
    "litre": (1000, "ml"), "litres": (1000, "ml"), "liter": (1000, "ml"), "liters": (1000, "ml"),
    "tsp": (1, "teaspoon"), "teaspoon": (1, "teaspoon"), "teaspoons": (1, "teaspoon"), "tbsp": (1, "tablespoon"),
    "tablespoon": (1, "tablespoon"), "tablespoons": (1, "tablespoon"), "cup": (1, "cup"), "cups": (1, "cup"),
    "time": (1, "times"), "times": (1, "times"), "°c": (1, "celsius"), "°": (1, "degree"), "degree": (1, "degree"),
    "degrees": (1, "degree"), "celsius": (1, "celsius"),
    "°f": (1, "fahrenheit"), "fahrenheit": (1, "fahrenheit"), "kwh": (1, "kwh"), "kw": (1000, "watt"),
    "watt": (1, "watt"), "watts": (1, "watt"), "w": (1, "watt"), "volt": (1, "volt"), "volts": (1, "volt"),
    "v": (1, "volt"),
    "amp": (1, "ampere"), "amps": (1, "ampere"), "ampere": (1, "ampere"), "mah": (1, "mah"), "hz": (1, "hertz"),
    "hertz": (1, "hertz"), "khz": (1000, "hertz"), "mhz": (1e6, "hertz"), "ghz": (1e9, "hertz"), "px": (1, "pixel"),
    "pixel": (1, "pixel"), "pixels": (1, "pixel"), "kcal": (1, "kcal"), "calories": (1, "kcal"), "mph": (1, "mph"),
    "kmh": (1, "kmh"), "bar": (1, "bar"), "acre": (1, "acre"), "acres": (1, "acre"), "hectare": (1, "hectare"),
    "hectares": (1, "hectare"), "gallon": (1, "gallon"), "gallons": (1, "gallon"), "pint": (1, "pint"),
    "pints": (1, "pint"),
}
"""Word after a number -> (factor, dimension): two weeks and 14 days are both 20,160 minutes."""

CURRENCIES: Final = frozenset("€ $ £ ¥ eur usd gbp chf jpy".split())

RATES: Final = {
    "daily": (1440, "minute"), "weekly": (10080, "minute"), "fortnightly": (20160, "minute"), "hourly": (60, "minute"),
    "nightly": (1, "night"), "monthly": (1, "month"), "quarterly": (3, "month"), "yearly": (12, "month"),
    "annual": (12, "month"), "annually": (12, "month"), "biweekly": (20160, "minute"),
}
"""Words that say how often, as what comes after "every"."""

NUMBERS: Final = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen"
        " eighteen nineteen".split()
    )
} | {
    word: 10 * tens
    for tens, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}
MULTIPLIERS: Final = {
    "hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000, "dozen": 12, "dozens": 12,
}
ORDINALS: Final = {
    word: value
    for value, word in enumerate(
        "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth"
        " seventeenth eighteenth nineteenth twentieth".split(),
        start=3,
    )
} | {"thirtieth": 30}
FILLERS: Final = frozenset(
    "full whole more further additional extra consecutive entire other different calendar or so complete single"
    " cubic square long solid straight separate".split()
)
"""May stand between a number and its unit."""

MONTHS: Final = (
    "january february march april may june july august september october november december"
).split()
WEEKDAYS: Final = "monday tuesday wednesday thursday friday saturday sunday".split()
SHORT_FORMS: Final = {
    "mon": "monday", "tue": "tuesday", "tues": "tuesday", "wed": "wednesday", "thu": "thursday", "thur": "thursday",
    "thurs": "thursday", "fri": "friday", "sat": "saturday", "sun": "sunday",
    "jan": "january", "feb": "february", "mar": "march", "apr": "april", "jun": "june", "jul": "july", "aug": "august",
    "sep": "september", "sept": "september", "oct": "october", "nov": "november", "dec": "december",
}
"""Only where they are written with a capital."""

NEGATORS: Final = frozenset(
    "not no never without none cannot neither nor nobody nothing nowhere unable closed cant dont doesnt isnt wont"
    " arent didnt hardly lack lacks barely scarcely rarely seldom can't don't doesn't isn't aren't won't wasn't weren't"
    " hasn't haven't hadn't didn't couldn't wouldn't shouldn't mustn't needn't mightn't ain't shan't".split()
)
FORWARD_NEGATORS: Final = frozenset("without except excluding outside besides instead".split())
"""They deny only what comes right after them."""
CONDITIONS: Final = frozenset("if unless only except when whenever provided even but where otherwise".split())
FUNCTION: Final = frozenset(
    "until till since before after from to in out on off under over above below with without and or not no never"
    " always any all"
    " both either neither our your my we you they i who must may can should only even except unless"
    " if when while one more less most least up down than per by for against into during as first last".split()
)
"""Little words that change what is said where all else is equal."""
BARRIERS: Final = frozenset(
    "but because if unless so however although though while when until since and only instead except which who"
    " after nor".split()
)
"""Words at which a negation ends."""

RELATIONS: Final = {
    "before": "before", "after": "after", "afterwards": "after", "since": "since", "from": "since", "until": "until",
    "till": "until", "inside": "inside", "within": "inside", "outside": "outside", "above": "above", "over": "above",
    "below": "below", "under": "below", "minimum": "at least", "min": "at least",
    "maximum": "at most", "max": "at most", "earliest": "earliest", "latest": "latest", "our": "our", "your": "your",
    "my": "your",
    "we": "we", "you": "you", "only": "only", "also": "also", "with": "with", "without": "without", "never": "never",
    "always": "always", "next": "next", "last": "last", "previous": "last", "first": "first", "second": "second",
    "some": "some", "all": "all", "every": "all", "no": "no", "not": "no", "except": "except", "excluding": "except",
    "including": "also", "less": "less", "more": "more", "up": "up", "down": "down",
}
"""Little words that tie what comes next -> their kind."""

CONTRARY: Final = (
    ("before", "after"), ("it before", "it after"), ("since", "until"), ("inside", "outside"), ("above", "below"),
    ("at least", "at most"), ("earliest", "latest"), ("our", "your"), ("we", "you"), ("with", "without"),
    ("never", "always"), ("next", "last"), ("first", "second"), ("some", "all"), ("also", "except"), ("also", "only"),
    ("less", "more"), ("up", "down"), ("no", "also"), ("no", "all"), ("no", "only"),
)
"""Kinds of relations that say the contrary of each other of the same thing."""

DENYING_FORMS: Final = {
    "unavailable": "available", "impossible": "possible", "excluded": "include", "excludes": "include",
    "exclude": "include", "excluding": "include", "forbidden": "allow", "forbid": "allow", "forbids": "allow",
    "prohibited": "allow", "prohibits": "allow", "banned": "allow", "disallowed": "allow", "unsupported": "support",
    "unlimited": "limit", "unnecessary": "require", "unneeded": "require", "nonrefundable": "refund",
    "unchanged": "change", "unaffected": "affect", "unsafe": "safe", "invalid": "valid", "incompatible": "compatible",
    "inedible": "edible", "ineligible": "allow", "incorrect": "correct", "illegal": "legal", "invisible": "visible",
    "uncovered": "cover", "undamaged": "damage", "unsalted": "salt",
    "unsweetened": "sweet", "untouched": "touch", "unpaid": "pay",
    "unsuitable": "suitable", "unauthorised": "authorise", "unauthorized": "authorise", "inactive": "active",
    "unencrypted": "encrypt", "unverified": "verify", "unlikely": "likely", "insufficient": "sufficient",
    "inaccessible": "access", "inaccurate": "accurate", "disagree": "agree", "unlisted": "list",
    "irreversible": "reverse", "unrestricted": "restrict", "unregistered": "register", "uninsured": "insure",
    "refuse": "accept", "refuses": "accept", "refused": "accept", "fails": "work",
}
"""Words with their negation inside -> what they deny."""

MARKERS: Final = {
    "only": "only", "solely": "only", "exclusively": "only", "alone": "only", "unless": "unless", "except": "unless",
    "excluding": "unless", "if": "if", "provided": "if", "when": "when", "whenever": "when", "where": "when",
    "must": "must", "mandatory": "must", "compulsory": "must", "obligatory": "must",
    "required": "must", "require": "must", "requires": "must", "optional": "optional", "voluntary": "optional",
    "can": "can", "may": "can", "could": "can", "might": "maybe", "possibly": "maybe", "perhaps": "maybe",
    "sometimes": "maybe", "always": "always", "every": "always", "all": "always", "any": "always", "never": "never",
    "instead": "instead", "before": "before", "after": "after", "afterwards": "after", "until": "until",
    "till": "until",
    "from": "from", "minimum": "minimum", "min": "minimum", "maximum": "maximum", "max": "maximum", "within": "within",
    "above": "above", "over": "above", "beneath": "beneath", "under": "beneath", "below": "beneath",
    "earliest": "earliest", "some": "some", "most": "most", "both": "both", "either": "either", "or": "or",
    "should": "should", "recommended": "should", "recommend": "should", "already": "already",
    "but": "but", "however": "but", "though": "but", "although": "but", "too": "also", "also": "also", "plus": "also",
    "then": "then", "yourself": "yourself", "again": "again", "first": "first", "additional": "extra", "extra": "extra",
}
"""Words that tie what is said to a condition, an order or an extent -> their kind."""


FOREIGN: Final = (
    "der das und ist nicht ein eine einen mit für auf zu wird werden sie ihr ihre im kann können bis oder bei nach"
    " el los las que es un una para con por su sus puede del le les est pas vous votre et dans sur du avec"
    " di che non sono della nel si het een van niet zijn voor op kunt os em não você seu jest nie się na lub"
    " och att är inte som på av ve bir bu için nos aux sans"
)
"""Function words of other languages that are no English words."""

# fmt: on
